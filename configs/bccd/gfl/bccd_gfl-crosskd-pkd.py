# CrossKD and PKD at once, each with the weights that are best for it by itself.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/crosskd-pkd-gfl.py']

_base_.distillers.crosskd.cls_weight = 3.0
_base_.distillers.crosskd.bbox_weight = 3 * 4.0
_base_.distillers.pkd.loss.loss_weight = 18.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
