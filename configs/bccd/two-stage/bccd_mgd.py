# MGD. Three weights were tried on val; its fragment has the best one.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/mgd-two-stage.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
