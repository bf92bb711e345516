_base_ = ['../_base_/pairs/retinanet-r50-fpn-from-r101-fpn_2x_coco.py', '../_base_/distillers/crosskd.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
