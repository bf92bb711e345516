# LD, with the authors' weights times 0.3, the best of four factors on val.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/ld.py']

_base_.distillers.ld.main_weight = 0.3 * 0.25
_base_.distillers.ld.region_weight = 0.3 * 0.25
_base_.distillers.ld.cls_weight = 0.3 * 10.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
