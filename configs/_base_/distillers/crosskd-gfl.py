# CrossKD (Wang et al., CVPR 2024), with the authors' weights for GFL: boxes by the distributions of their sides.
_base_ = './crosskd.py'

distillers = dict(crosskd=dict(boxes='distributions', bbox_weight=4.0))
