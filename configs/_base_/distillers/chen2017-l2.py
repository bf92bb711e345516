# Chen et al., NIPS 2017: regression alone, unbounded: with such a margin the student never does well enough to be let
# off (L2 in the paper's ablation). Not float('inf'), which a saved config could not be read back with.
distillers = dict(
    rpn=dict(
        type='RPNDistiller',
        loss_cls=None,
        loss_bbox=dict(type='TeacherBoundedL2Loss', margin=1e9, loss_weight=0.5)),
    roi=dict(
        type='RoIDistiller',
        loss_cls=None,
        loss_bbox=dict(type='TeacherBoundedL2Loss', margin=1e9, loss_weight=0.5)))
