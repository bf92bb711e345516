_base_ = [
    '../_base_/pairs/retinanet-r50-fpn-from-mask-rcnn-swin-s-fpn_2x_coco.py',
    '../_base_/distillers/pkd-two-stage.py',
]
model = dict(distillers=_base_.distillers)
del _base_.distillers
