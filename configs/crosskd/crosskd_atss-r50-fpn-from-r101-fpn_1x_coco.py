_base_ = ['../_base_/pairs/atss-r50-fpn-from-r101-fpn_1x_coco.py', '../_base_/distillers/crosskd-atss.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
