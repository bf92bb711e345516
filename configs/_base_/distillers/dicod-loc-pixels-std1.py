# DICOD (Guo et al., NeurIPS 2021): localisation on the pixels alone, for detectors whose pixels have std 1 (SSD).
_base_ = './dicod-loc.py'

distillers = dict(
    kd_loc=dict(
        layers=[dict(name='pixels', size=4)], loss_loc=dict(loss_weight=0.15)))
