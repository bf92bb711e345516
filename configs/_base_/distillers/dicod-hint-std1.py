# DICOD (Guo et al., NeurIPS 2021) together with adapted hints, for SSD512 from a detector with five levels: both have
# strides of 8 to 128, and SSD has two levels more.
_base_ = './dicod-hint.py'

distillers = dict(
    kd_loc=dict(
        layers=[dict(name='pixels', size=4), dict(name='backbone.maxpool', size=8)], loss_loc=dict(loss_weight=0.15)),
    hint=dict(levels=(0, 1, 2, 3, 4)))
