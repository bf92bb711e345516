# DICOD (Guo et al., NeurIPS 2021): localisation on the pixels alone, a column of the paper's first table.
_base_ = './dicod-loc.py'

distillers = dict(kd_loc=dict(layers=[dict(name='pixels', size=4, weight=57.0)]))
