# BCKD, with the authors' weights times 10, the best of four factors on val.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/bckd.py']

_base_.distillers.bckd.cls_weight = 10.0
_base_.distillers.bckd.bbox_weight = 10 * 4.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
