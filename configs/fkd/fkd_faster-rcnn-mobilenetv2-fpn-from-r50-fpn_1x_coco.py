_base_ = [
    '../_base_/pairs/faster-rcnn-mobilenetv2-fpn-from-r50-fpn_1x_coco.py',
    '../_base_/distillers/fkd-two-stage.py',
]
model = dict(distillers=_base_.distillers)
del _base_.distillers
