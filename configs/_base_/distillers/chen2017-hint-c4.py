# Chen et al., NIPS 2017: bare hints alone (Hints in the paper's ablation), for detectors without a neck. Both backbones
# must have the same channels.
_base_ = './chen2017-hint.py'

distillers = dict(hint=dict(source='backbone'))
