_base_ = ['../_base_/pairs/ssd512-vgg16-from-retinanet-r101-fpn_2x_coco.py', '../_base_/distillers/fkd-ssd512.py']
model = dict(distillers=_base_.distillers)
del _base_.distillers
