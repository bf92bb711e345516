# DIST on the RoI head's scores.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/dist-two-stage.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
