# FGD (Yang et al., CVPR 2022), with the authors' temperature and weights for FCOS.
_base_ = './fgd-reppoints.py'

distillers = dict(fgd=dict(loss=dict(temperature=0.8)))
