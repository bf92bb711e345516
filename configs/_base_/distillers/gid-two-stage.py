# GID (Dai et al., CVPR 2021) of two-stage detectors: the boxes are those of the RPN. The last level of the neck, which
# a pooling makes, is left out of the features, as RoI heads do. The authors published no code of this form: the weights
# are those of the dense one.
_base_ = './gid.py'

distillers = dict(gid=dict(predictions='rpn', levels=(0, 1, 2, 3)))
