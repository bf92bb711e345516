# MGD, with the best of three weights on val.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/mgd.py']

_base_.distillers.mgd.loss.loss_weight = 2e-4

model = dict(distillers=_base_.distillers)
del _base_.distillers
