_base_ = ['../_base_/pairs/retinanet-r50-fpn-from-x101-64x4d-fpn_2x_coco.py', '../_base_/distillers/dist.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
