# CrossKD and PKD at once, each with the weights that are best for it by itself.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/crosskd-pkd.py']

_base_.distillers.crosskd.cls_weight = 10.0
_base_.distillers.crosskd.bbox_weight = 10.0
_base_.distillers.pkd.loss.loss_weight = 10.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
