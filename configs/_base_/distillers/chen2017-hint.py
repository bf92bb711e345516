# Chen et al., NIPS 2017: bare hints alone (Hints in the paper's ablation). Both necks must have the same channels.
distillers = dict(
    hint=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=None,
        loss=dict(type='HintLoss', norm='l2', loss_weight=0.5)))
