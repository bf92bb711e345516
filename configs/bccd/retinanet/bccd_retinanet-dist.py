# DIST, with the best of four weights on val.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/dist.py']

_base_.distillers.dist.loss_cls.loss_weight = 10.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
