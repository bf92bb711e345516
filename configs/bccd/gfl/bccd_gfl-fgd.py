# FGD, with the best of three weights on val, and the temperature that was best for the two-stage student.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/fgd.py']

_base_.distillers.fgd.loss.loss_weight = 64.0
_base_.distillers.fgd.loss.temperature = 2.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
