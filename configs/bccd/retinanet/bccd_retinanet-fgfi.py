# FGFI, with the best of four weights on val. It begins after an epoch: the 400 iterations of its authors are more
# than there are here.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/fgfi.py']

_base_.distillers.fgfi.loss.loss_weight = 0.01

model = dict(distillers=_base_.distillers)
del _base_.distillers

custom_hooks = [
    dict(type='LossWeightRampHook', path='distillers.fgfi.weight', start=0.0, stop=1.0, begin=37, end=37)
]
