# Chen et al., NIPS 2017: soft classes, bounded regression and adapted hints together. The paper's gamma is the hint's
# loss_weight, its nu that of the regression; mu it leaves open.
distillers = dict(
    hint=dict(
        type='FeatureDistiller',
        source='neck',
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
