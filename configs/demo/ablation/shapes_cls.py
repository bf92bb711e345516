# CLS: soft classes, all weighing the same.
_base_ = './shapes_cls-weighted.py'

model = dict(
    distillers=dict(rpn=dict(loss_cls=dict(background_weight=1.0)), roi=dict(loss_cls=dict(background_weight=1.0))))
