# Chen et al., NIPS 2017: adapted hints alone (Hints-A in the paper's ablation), for detectors without a neck.
_base_ = './chen2017-hint-adapted.py'

distillers = dict(hint=dict(source='backbone'))
