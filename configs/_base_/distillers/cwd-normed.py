# CWD on the neck, each channel of both sides normalised over the batch: the form in which MMYOLO distils RTMDet. Weight
# and temperature are theirs. They compare what the last convolutions of the neck make before their norm and activation;
# here it is what the neck gives. `stop_epoch` or `num_last_epochs` beside `type` stops it before the light
# augmentation.
distillers = dict(
    cwd=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='NormConvAdapter'),
        teacher_adapter=dict(type='NormAdapter'),
        loss=dict(type='CWDLoss', temperature=1.0, loss_weight=1.0),
        reduction='sum'))
