# DIST on the RoI head's scores, with the best of five weights on val.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/dist-two-stage.py']

_base_.distillers.dist.loss_cls.loss_weight = 0.3
model = dict(distillers=_base_.distillers)
del _base_.distillers
