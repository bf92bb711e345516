# Chen et al., NIPS 2017: bare hints alone (Hints in the paper's ablation). Both necks must have the same channels.
_base_ = './chen2017-hint-adapted.py'

distillers = dict(hint=dict(adapter=None))
