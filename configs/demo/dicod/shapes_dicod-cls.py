# KD-cls alone.
_base_ = './shapes_dicod.py'

model = dict(distillers=dict(kd_loc=None))
