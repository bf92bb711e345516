# FKD (Zhang and Ma, ICLR 2021), with the paper's weights and temperature for two-stage detectors, as recalled: they
# were not checked against the paper. The last level, which a pooling makes, is left out.
_base_ = './fkd.py'

distillers = dict(
    fkd=dict(
        levels=(0, 1, 2, 3),
        loss=dict(
            temperature=0.1, mask_weight=7e-5, channel_weight=4e-3, spatial_weight=4e-3, non_local_weight=7e-5)))
