# FGD (Yang et al., CVPR 2022), with the authors' weights for RepPoints.
_base_ = './fgd.py'

distillers = dict(
    fgd=dict(
        loss=dict(
            foreground_weight=1.6e-3, background_weight=8e-4, attention_weight=8e-4, global_weight=8e-6)))
