# The adapted hint of Chen et al.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/chen2017-hint-adapted.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
