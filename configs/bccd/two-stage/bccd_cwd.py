# CWD, with the best of five weights and temperatures on val.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/cwd.py']

_base_.distillers.cwd.loss.loss_weight = 10.0
_base_.distillers.cwd.loss.temperature = 3.0
model = dict(distillers=_base_.distillers)
del _base_.distillers
