# Two methods on maps, each with its own weight.
_base_ = ['./bccd_pkd.py', '../../_base_/distillers/fgd-two-stage.py']

_base_.distillers.fgd.loss.loss_weight = 64.0
_base_.distillers.fgd.loss.temperature = 2.0
model = dict(distillers=_base_.distillers)
del _base_.distillers
