# KD-loc alone.
_base_ = './shapes_retinanet-dicod.py'

model = dict(distillers=dict(kd_cls=None))
