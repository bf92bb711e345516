# The same, for a head that scores by sigmoids.
_base_ = './shapes_dicod.py'

distillers = dict(kd_cls=dict(loss_cls=dict(use_sigmoid=True)))
