# FGD, with the best of seven weights and temperatures on val.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/fgd.py']

_base_.distillers.fgd.loss.loss_weight = 64.0
_base_.distillers.fgd.loss.temperature = 0.5

model = dict(distillers=_base_.distillers)
del _base_.distillers
