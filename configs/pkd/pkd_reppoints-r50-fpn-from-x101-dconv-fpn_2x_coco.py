_base_ = ['../_base_/pairs/reppoints-r50-fpn-from-x101-dconv-fpn_2x_coco.py', '../_base_/distillers/pkd.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
