# BCKD.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/bckd.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
