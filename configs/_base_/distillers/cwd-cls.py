# CWD (Shu et al., ICCV 2021) on the class scores of two dense heads with the same priors, for which the authors report
# GFL. The weight is theirs for the neck; none for scores was found.
_base_ = './cwd.py'

distillers = dict(cwd=dict(source='dense.cls', adapter=None))
