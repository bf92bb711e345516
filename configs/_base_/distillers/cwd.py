# CWD (Shu et al., ICCV 2021): where each channel of the neck is active. Weight and temperature are the authors'.
distillers = dict(
    cwd=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ChannelAdapter'),
        loss=dict(type='CWDLoss', temperature=1.0, loss_weight=10.0),
        reduction='sum'))
