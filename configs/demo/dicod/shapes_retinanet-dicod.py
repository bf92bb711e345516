# Both parts of DICOD.
_base_ = './shapes_retinanet-dicod-hint.py'

model = dict(teachers=dict(detector=None), distillers=dict(hint=None))
