# GID.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/gid-two-stage.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
