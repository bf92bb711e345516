_base_ = ['../_base_/pairs/gfl-r50-fpn-from-r101-fpn_1x_coco.py', '../_base_/distillers/crosskd-pkd-gfl.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
