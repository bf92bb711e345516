_base_ = ['../_base_/pairs/retinanet-r50-fpn-from-fcos-x101-64x4d-fpn_1x_coco.py', '../_base_/distillers/pkd.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
