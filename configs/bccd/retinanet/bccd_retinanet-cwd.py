# CWD, with the best of three weights on val, and the temperature that was best for the two-stage student.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/cwd.py']

_base_.distillers.cwd.loss.loss_weight = 10.0
_base_.distillers.cwd.loss.temperature = 3.0

model = dict(distillers=_base_.distillers)
del _base_.distillers
