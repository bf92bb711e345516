# BCKD, with the authors' weights times 3, the best of three factors on val.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/bckd.py']

_base_.distillers.bckd.cls_weight = 3.0
_base_.distillers.bckd.bbox_weight = 3 * 4.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
