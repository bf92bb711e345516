# The same, for a dense head that scores by sigmoids.
_base_ = './shapes_two-teachers.py'

distillers = dict(kd_cls=dict(loss_cls=dict(use_sigmoid=True)), kd_loc=dict(loss_loc=dict(loss_weight=0.15)))
