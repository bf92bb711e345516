# Chen et al., NIPS 2017: regression alone, unbounded: with such a margin the student never does well enough to be let
# off (L2 in the paper's ablation). Not float('inf'), which a saved config could not be read back with.
_base_ = './chen2017-l2-bounded.py'

distillers = dict(rpn=dict(loss_bbox=dict(margin=1e9)), roi=dict(loss_bbox=dict(margin=1e9)))
