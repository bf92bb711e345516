# L2: regression, never let off.
_base_ = './shapes_l2-bounded.py'

model = dict(distillers=dict(rpn=dict(loss_bbox=dict(margin=1e9)), roi=dict(loss_bbox=dict(margin=1e9))))
