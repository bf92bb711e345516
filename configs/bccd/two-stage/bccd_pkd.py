# PKD, with the best of four weights on val.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/pkd-two-stage.py']

_base_.distillers.pkd.loss.loss_weight = 54.0
model = dict(distillers=_base_.distillers)
del _base_.distillers
