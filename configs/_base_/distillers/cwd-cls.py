# CWD (Shu et al., ICCV 2021) on the class scores of two dense heads with the same priors, as the authors report it for
# GFL. Weight and temperature are theirs for the neck; none for scores were found.
_base_ = './cwd.py'

distillers = dict(cwd=dict(source='dense.cls', adapter=None))
