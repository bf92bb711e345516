# DICOD (Guo et al., NeurIPS 2021): a classifier of the objects teaches the classes (KD-cls) and the boxes (KD-loc). For
# RoI heads that score by a softmax. The paper's weight of KD-loc, 0.15, is for SSD300: its pixels have std 1, and its
# own regression is a mean over the positives, as KD-loc is. Here pixels are divided by about 57, so they count 57 times
# as much; and the head divides its regression by all sampled RoIs, at most a quarter of them positive, so the weight is
# a quarter.
distillers = dict(
    kd_cls=dict(
        type='ClassifierClsDistiller', loss_cls=dict(type='SoftenedKLLoss', temperature=2.0, loss_weight=0.4)),
    kd_loc=dict(
        type='ClassifierLocDistiller',
        layers=[dict(name='pixels', size=4, weight=57.0), dict(name='backbone.maxpool', size=8)],
        loss_loc=dict(type='L1Loss', loss_weight=0.04)))
