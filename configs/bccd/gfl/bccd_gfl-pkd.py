# PKD, with the best of three weights on val.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/pkd.py']

_base_.distillers.pkd.loss.loss_weight = 18.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
