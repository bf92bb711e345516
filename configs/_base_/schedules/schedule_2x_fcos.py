# The schedule of FCOS in mmdet: half of the usual rate, twice that for biases, which do not decay, and a warm-up from a
# third.
_base_ = './schedule_2x_retinanet.py'

optim_wrapper = dict(paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0 / 3.0, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=24, by_epoch=True, milestones=[16, 22], gamma=0.1),
]
