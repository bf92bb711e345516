# CWD on the drawn set.
_base_ = ['../_base_/shapes_taught.py', '../../_base_/distillers/cwd.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
