# Control of L2-B: no teacher, but four times the weight on the student's own regression.
_base_ = './shapes_none.py'

loss_bbox = dict(loss_weight=4.0)
model = dict(rpn_head=dict(loss_bbox=loss_bbox), roi_head=dict(bbox_head=dict(loss_bbox=loss_bbox)))
del loss_bbox
