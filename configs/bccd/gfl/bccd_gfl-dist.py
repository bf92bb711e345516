# DIST, with the best of three weights on val.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/dist.py']

_base_.distillers.dist.loss_cls.loss_weight = 3.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
