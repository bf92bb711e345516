# Chen et al., NIPS 2017, and mu goes from the labels alone to 0.5: some who rebuilt the method report that a constant
# 0.5 fails them.
_base_ = './chen2017.py'

custom_hooks = [
    dict(
        type='LossWeightRampHook',
        path=f'distillers.{head}.mu',
        start=1.0,
        stop=0.5,
        begin=0,
        end=5000,
        by_epoch=False) for head in ('rpn', 'roi')
]
