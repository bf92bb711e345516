# Chen et al., NIPS 2017, for detectors without a neck: the hint is the last map that RPN and RoI head share.
_base_ = './chen2017.py'

distillers = dict(hint=dict(source='backbone'))
