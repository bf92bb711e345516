# CWD, with the best of three weights on val; of the two that were equal, the smaller.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/cwd.py']

_base_.distillers.cwd.loss.loss_weight = 3.0
model = dict(distillers=_base_.distillers)
del _base_.distillers
