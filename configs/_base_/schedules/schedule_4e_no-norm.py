# The schedule for networks without batch norm: no step too long.
_base_ = './schedule_4e.py'

optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
