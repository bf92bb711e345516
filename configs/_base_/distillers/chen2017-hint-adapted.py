# Chen et al., NIPS 2017: adapted hints alone (Hints-A in the paper's ablation). The adapter is there even where the
# channels are the same, as in the paper.
distillers = dict(
    hint=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ConvAdapter'),
        loss=dict(type='HintLoss', norm='l2', loss_weight=0.5)))
