_base_ = ['../_base_/pairs/faster-rcnn-r50-fpn-from-cascade-mask-rcnn-x101-dconv-fpn_2x_coco.py', '../_base_/distillers/dist-two-stage.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
