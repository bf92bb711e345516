# FKD (Zhang and Ma, ICLR 2021): the neck where both networks look, its means, and how its places relate to each other.
# Weights and temperature are the paper's for one-stage detectors, as recalled: they were not checked against the paper.
# The loss adapts the student's maps by itself.
distillers = dict(
    fkd=dict(
        type='FeatureDistiller',
        source='neck',
        loss=dict(
            type='FKDLoss',
            temperature=0.5,
            mask_weight=4e-4,
            channel_weight=2e-2,
            spatial_weight=2e-2,
            non_local_weight=4e-4),
        reduction='sum'))
