# FKD, with the best of five weights and temperatures on val.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/fkd-two-stage.py']

_base_.distillers.fkd.loss.loss_weight = 0.25
_base_.distillers.fkd.loss.temperature = 0.5
model = dict(distillers=_base_.distillers)
del _base_.distillers
