# CrossKD and PKD at once, as the authors of CrossKD combine them, with their weights for ATSS: PKD on all levels.
_base_ = './crosskd-atss.py'

distillers = dict(
    pkd=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ChannelAdapter'),
        loss=dict(type='PKDLoss', loss_weight=1.0),
        reduction='sum'))
