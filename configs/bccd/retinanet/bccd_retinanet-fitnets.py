# FitNets, with the best of three weights on val.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/fitnets.py']

_base_.distillers.fitnets.loss.loss_weight = 10.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
