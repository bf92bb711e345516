# CrossKD (Wang et al., CVPR 2024), with the authors' weights for ATSS: the centerness too.
_base_ = './crosskd.py'

distillers = dict(crosskd=dict(quality_weight=1.0))
