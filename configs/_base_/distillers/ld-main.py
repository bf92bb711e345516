# LD (Zheng et al., CVPR 2022) of the positive places alone.
_base_ = './ld.py'

distillers = dict(ld=dict(region_weight=None, cls_weight=None))
