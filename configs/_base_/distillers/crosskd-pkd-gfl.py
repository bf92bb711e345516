# CrossKD and PKD at once, as the authors of CrossKD combine them, with their weights for GFL: PKD on all levels.
_base_ = './crosskd-gfl.py'

distillers = dict(
    pkd=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ChannelAdapter'),
        loss=dict(type='PKDLoss', loss_weight=6.0),
        reduction='sum'))
