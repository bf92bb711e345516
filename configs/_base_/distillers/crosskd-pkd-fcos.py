# CrossKD and PKD at once, as the authors of CrossKD combine them, with their weights for FCOS: PKD on all levels.
_base_ = './crosskd-fcos.py'

distillers = dict(
    pkd=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ChannelAdapter'),
        loss=dict(type='PKDLoss', loss_weight=2.0),
        reduction='sum'))
