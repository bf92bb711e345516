# CrossKD and PKD at once.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/crosskd-pkd.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
