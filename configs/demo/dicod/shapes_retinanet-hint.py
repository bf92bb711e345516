# The hint alone, without DICOD.
_base_ = './shapes_retinanet-dicod-hint.py'

model = dict(teachers=dict(classifier=None), distillers=dict(kd_cls=None, kd_loc=None))
