# FitNets (Romero et al., ICLR 2015), on the neck of a detector: the mean square of each level, and their sum.
distillers = dict(
    fitnets=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ChannelAdapter'),
        loss=dict(type='HintLoss', norm='l2', loss_weight=1.0),
        reduction='sum'))
