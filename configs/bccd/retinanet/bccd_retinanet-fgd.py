# FGD, with the best of four weights on val, and the temperature that was best for the two-stage student.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/fgd.py']

_base_.distillers.fgd.loss.loss_weight = 64.0
_base_.distillers.fgd.loss.temperature = 2.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
