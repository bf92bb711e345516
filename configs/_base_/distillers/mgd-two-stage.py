# MGD (Yang et al., ECCV 2022), with the authors' weight and ratio for two-stage detectors. They leave out the last
# level, which a pooling makes.
_base_ = './mgd.py'

distillers = dict(mgd=dict(levels=(0, 1, 2, 3), loss=dict(mask_ratio=0.45, loss_weight=5e-7)))
