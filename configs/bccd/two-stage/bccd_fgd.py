# FGD, with the best of three weights on val.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/fgd-two-stage.py']

_base_.distillers.fgd.loss.loss_weight = 4.0
model = dict(distillers=_base_.distillers)
del _base_.distillers
