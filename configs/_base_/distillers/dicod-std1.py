# DICOD (Guo et al., NeurIPS 2021), for detectors whose pixels have std 1 (SSD): the paper's own weights.
_base_ = './dicod.py'

distillers = dict(
    kd_loc=dict(
        layers=[dict(name='pixels', size=4), dict(name='backbone.maxpool', size=8)], loss_loc=dict(loss_weight=0.15)))
