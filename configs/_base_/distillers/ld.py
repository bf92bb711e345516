# LD (Zheng et al., CVPR 2022), for heads that regress distributions (GFL), with the authors' weights: distributions of
# the positive places and of the valuable region, and the classes of the positive places. Their sums are divided by
# nothing, as in their code, on which their numbers rest, so they grow with the pictures of a GPU: they take at most
# three.
distillers = dict(
    ld=dict(
        type='LDDistiller',
        main_weight=0.25,
        region_weight=0.25,
        cls_weight=10.0,
        temperature=10.0,
        cls_temperature=2.0,
        divisor='none'))
