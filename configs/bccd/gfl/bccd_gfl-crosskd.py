# CrossKD.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/crosskd-gfl.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
