# MGD (Yang et al., ECCV 2022): the teacher's neck, generated from the student's with random holes. Weight and ratio are
# those of the authors for one-stage detectors.
distillers = dict(
    mgd=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ChannelAdapter'),
        loss=dict(type='MGDLoss', mask_ratio=0.65, loss_weight=2e-5),
        reduction='sum'))
