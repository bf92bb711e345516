# Chen et al., NIPS 2017: soft classes and bounded regression, no hint (CLS-W + L2-B).
_base_ = './chen2017.py'

distillers = dict(hint=None)
