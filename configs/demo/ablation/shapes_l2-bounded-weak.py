# Control of L2-B: with a tenth of its weight nu.
_base_ = './shapes_l2-bounded.py'

loss_bbox = dict(loss_weight=0.05)
model = dict(distillers=dict(rpn=dict(loss_bbox=loss_bbox), roi=dict(loss_bbox=loss_bbox)))
del loss_bbox
