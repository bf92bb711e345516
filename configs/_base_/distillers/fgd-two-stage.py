# FGD (Yang et al., CVPR 2022), with the authors' weights for two-stage detectors. They leave out the last level, which
# a pooling makes.
_base_ = './fgd.py'

distillers = dict(
    fgd=dict(
        levels=(0, 1, 2, 3),
        loss=dict(
            foreground_weight=5e-5, background_weight=2.5e-5, attention_weight=5e-5, global_weight=5e-7)))
