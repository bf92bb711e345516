# CrossKD and PKD at once.
_base_ = ['../_base_/gfl.py', '../../_base_/distillers/crosskd-pkd-gfl.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
