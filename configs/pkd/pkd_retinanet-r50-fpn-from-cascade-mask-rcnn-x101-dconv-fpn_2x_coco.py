_base_ = [
    '../_base_/pairs/retinanet-r50-fpn-from-cascade-mask-rcnn-x101-dconv-fpn_2x_coco.py',
    '../_base_/distillers/pkd-two-stage.py',
]
model = dict(distillers=_base_.distillers)
del _base_.distillers
