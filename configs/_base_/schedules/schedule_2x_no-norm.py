# The schedule for networks without batch norm: half of the usual rate, and no step too long.
_base_ = './schedule_2x.py'

optim_wrapper = dict(optimizer=dict(lr=0.01), clip_grad=dict(max_norm=35, norm_type=2))
