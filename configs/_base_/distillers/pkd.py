# PKD (Cao et al., NeurIPS 2022): the correlation of the neck's channels. The weight is the authors' for RetinaNet; they
# compare the first four levels.
distillers = dict(
    pkd=dict(
        type='FeatureDistiller',
        source='neck',
        levels=(0, 1, 2, 3),
        adapter=dict(type='ChannelAdapter'),
        loss=dict(type='PKDLoss', loss_weight=10.0),
        reduction='sum'))
