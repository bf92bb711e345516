# Chen et al., NIPS 2017: soft classes and adapted hints (CLS-W + Hints-A), for detectors without a neck.
_base_ = './chen2017-c4.py'

distillers = dict(rpn=dict(loss_bbox=None), roi=dict(loss_bbox=None))
