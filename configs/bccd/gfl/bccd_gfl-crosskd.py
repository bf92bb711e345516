# CrossKD, with the authors' weights times 3, the best of four factors on val.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/crosskd-gfl.py']

_base_.distillers.crosskd.cls_weight = 3.0
_base_.distillers.crosskd.bbox_weight = 3 * 4.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
