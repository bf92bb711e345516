# Chen et al., NIPS 2017: bounded regression and adapted hints (L2-B + Hints-A), for detectors without a neck.
_base_ = './chen2017-c4.py'

distillers = dict(rpn=dict(loss_cls=None), roi=dict(loss_cls=None))
