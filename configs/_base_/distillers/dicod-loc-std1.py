# DICOD (Guo et al., NeurIPS 2021): localisation alone (KD-loc), for detectors whose pixels have std 1 (SSD).
_base_ = './dicod-std1.py'

distillers = dict(kd_cls=None)
