# PKD.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/pkd-two-stage.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
