_base_ = ['../_base_/pairs/faster-rcnn-r50-fpn-from-r101-fpn_1x_coco.py', '../_base_/distillers/fkd-two-stage.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
