# PKD (Cao et al., NeurIPS 2022), with the authors' weight for two-stage detectors.
_base_ = './pkd.py'

distillers = dict(pkd=dict(loss=dict(loss_weight=6.0)))
