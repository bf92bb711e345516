# Chen et al., NIPS 2017: soft classes alone, all classes weighing the same (CLS in the paper's ablation).
distillers = dict(
    rpn=dict(
        type='RPNDistiller',
        loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.0),
        loss_bbox=None,
        mu=0.5),
    roi=dict(
        type='RoIDistiller',
        loss_cls=dict(type='ClassWeightedSoftCrossEntropyLoss', background_weight=1.0),
        loss_bbox=None,
        mu=0.5))
