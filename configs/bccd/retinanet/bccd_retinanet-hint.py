# The adapted hint of Chen et al., with the best of four weights on val.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/chen2017-hint-adapted.py']

_base_.distillers.hint.loss.loss_weight = 150.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
