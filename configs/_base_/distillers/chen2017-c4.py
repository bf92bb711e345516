# Chen et al., NIPS 2017, for detectors without a neck: the hint is the last map that RPN and RoI head share.
distillers = dict(
    hint=dict(
        type='FeatureDistiller',
        source='backbone',
        adapter=dict(type='ConvAdapter'),
        loss=dict(type='HintLoss', norm='l2', loss_weight=0.5)),
    rpn=dict(
        type='RPNDistiller',
        loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.5),
        loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5),
        mu=0.5),
    roi=dict(
        type='RoIDistiller',
        loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.5),
        loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5),
        mu=0.5))
