# CrossKD (Wang et al., CVPR 2024), with the authors' weights for FCOS: from the middle of its towers on, boxes by the
# logarithm of their IoU, and all divided by the centerness, as FCOS divides its own loss.
_base_ = './crosskd.py'

distillers = dict(
    crosskd=dict(depth=2, boxes='log iou', cls_weight=0.4, bbox_weight=0.75, divisor='centerness'))
