# DICOD (Guo et al., NeurIPS 2021), for dense heads that score by sigmoids.
_base_ = './dicod.py'

distillers = dict(kd_cls=dict(loss_cls=dict(use_sigmoid=True)), kd_loc=dict(loss_loc=dict(loss_weight=0.15)))
