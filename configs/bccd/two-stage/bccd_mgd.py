# MGD, with the best of three weights on val.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/mgd-two-stage.py']

_base_.distillers.mgd.loss.loss_weight = 5e-6
model = dict(distillers=_base_.distillers)
del _base_.distillers
