# DICOD (Guo et al., NeurIPS 2021): classification alone (KD-cls), for heads that score by sigmoids.
_base_ = './dicod-sigmoid.py'

distillers = dict(kd_loc=None)
