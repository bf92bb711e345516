# PKD on the maps, Chen et al. on the predictions.
_base_ = ['./bccd_pkd.py', '../../_base_/distillers/chen2017-cls-weighted-l2-bounded.py']

model = dict(distillers=_base_.distillers)
del _base_.distillers
