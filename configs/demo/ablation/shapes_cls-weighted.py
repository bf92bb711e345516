# CLS-W: soft classes, the background weighing 1.5.
_base_ = './shapes_cls-weighted-l2-bounded.py'

model = dict(distillers=dict(rpn=dict(loss_bbox=None), roi=dict(loss_bbox=None)))
