# The whole method, with the weights that suit the set of shapes.
_base_ = '../../_base_/distillers/chen2017.py'

distillers = dict(hint=dict(loss=dict(loss_weight=5.0)), rpn=dict(mu=0.8), roi=dict(mu=0.8))
