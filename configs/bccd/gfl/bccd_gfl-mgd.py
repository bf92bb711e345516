# MGD, with the best of three weights on val.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/mgd.py']

_base_.distillers.mgd.loss.loss_weight = 2e-5

model = dict(distillers=_base_.distillers)
del _base_.distillers
