# L2-B: regression, let off where the student is better than the teacher.
_base_ = './shapes_cls-weighted-l2-bounded.py'

model = dict(distillers=dict(rpn=dict(loss_cls=None), roi=dict(loss_cls=None)))
