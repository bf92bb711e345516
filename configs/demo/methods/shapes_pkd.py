# PKD on the drawn set, whose detectors have three levels.
_base_ = ['../_base_/shapes_taught.py', '../../_base_/distillers/pkd-two-stage.py']

model = dict(distillers=dict(pkd={**_base_.distillers.pkd, 'levels': (0, 1, 2)}))
del _base_.distillers
