# DICOD (Guo et al., NeurIPS 2021): localisation alone (KD-loc), on the pixels and on the classifier's stem.
_base_ = './dicod.py'

distillers = dict(kd_cls=None)
