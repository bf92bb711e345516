# DICOD (Guo et al., NeurIPS 2021): classification alone (KD-cls), for heads that score by a softmax.
_base_ = './dicod.py'

distillers = dict(kd_loc=None)
