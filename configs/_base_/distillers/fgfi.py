# FGFI (Wang et al., CVPR 2019): the neck where the student's own anchors come near to a true box. The student needs
# anchors: an RPN, or a dense head with anchors. The authors take lambda 0.01, begin after 400 iterations, and adapt by
# a 3x3 convolution and a ReLU, which suits the map of a backbone (relu=True); a neck has values below 0.
distillers = dict(
    fgfi=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='Conv3x3Adapter', relu=False, init_std=1e-4),
        loss=dict(type='FGFILoss', threshold=0.5, loss_weight=0.01),
        reduction='sum'))

custom_hooks = [
    dict(
        type='LossWeightRampHook', path='distillers.fgfi.weight', start=0.0, stop=1.0, begin=400, end=400)
]
