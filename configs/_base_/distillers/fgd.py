# FGD (Yang et al., CVPR 2022): the neck inside and outside of the true boxes, and as a whole. The weights are those
# of the authors for RetinaNet and GFL. They clip gradients: optim_wrapper=dict(clip_grad=dict(max_norm=35)).
distillers = dict(
    fgd=dict(
        type='FeatureDistiller',
        source='neck',
        adapter=dict(type='ChannelAdapter'),
        loss=dict(
            type='FGDLoss',
            temperature=0.5,
            foreground_weight=1e-3,
            background_weight=5e-4,
            attention_weight=5e-4,
            global_weight=5e-6),
        reduction='sum'))
