# Chen et al., NIPS 2017: regression alone, let off where the student is better than the teacher (L2-B in the paper's
# ablation).
distillers = dict(
    rpn=dict(
        type='RPNDistiller',
        loss_cls=None,
        loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5)),
    roi=dict(
        type='RoIDistiller',
        loss_cls=None,
        loss_bbox=dict(type='TeacherBoundedL2Loss', margin=0.0, loss_weight=0.5)))
