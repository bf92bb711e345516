# The whole method, with the weights that suit the set of shapes.
distillers = dict(
    hint=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ConvAdapter'),
        loss=dict(type='HintLoss', norm='l2', loss_weight=5.0)),
    rpn=dict(
        type='RPNDistiller',
        loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.5),
        loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5),
        mu=0.8),
    roi=dict(
        type='RoIDistiller',
        loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.5),
        loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5),
        mu=0.8))
