# CrossKD, with the authors' weights times 10, the best of four factors on val.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/crosskd.py']

_base_.distillers.crosskd.cls_weight = 10.0
_base_.distillers.crosskd.bbox_weight = 10.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
