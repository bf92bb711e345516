# DICOD (Guo et al., NeurIPS 2021) together with a method that learns from a detector's maps: the adapted hint of Chen
# et al., NIPS 2017. It wants two teachers, a classifier and a detector.
_base_ = './dicod.py'

distillers = dict(
    hint=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ConvAdapter'),
        loss=dict(type='HintLoss', norm='l2', loss_weight=0.5)))
