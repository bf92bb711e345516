# DICOD (Guo et al., NeurIPS 2021): a classifier of the objects teaches the classes (KD-cls) and the boxes (KD-loc). For
# heads that score by a softmax. The paper's weight of KD-loc is for pixels of std 1; those that are divided by about 57
# count 57 times as much.
distillers = dict(
    kd_cls=dict(
        type='ClassifierClsDistiller', loss_cls=dict(type='SoftenedKLLoss', temperature=2.0, loss_weight=0.4)),
    kd_loc=dict(
        type='ClassifierLocDistiller',
        layers=[dict(name='pixels', size=4, weight=57.0), dict(name='backbone.maxpool', size=8)],
        loss_loc=dict(type='L1Loss', loss_weight=0.15)))
