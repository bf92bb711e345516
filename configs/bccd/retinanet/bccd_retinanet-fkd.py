# FKD, with the best of four weights on val, and the temperature that was best for the two-stage student.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/fkd.py']

_base_.distillers.fkd.loss.loss_weight = 4.0
_base_.distillers.fkd.loss.temperature = 0.5

model = dict(distillers=_base_.distillers)
del _base_.distillers
