# KD-cls alone.
_base_ = './shapes_retinanet-dicod.py'

model = dict(distillers=dict(kd_loc=None))
