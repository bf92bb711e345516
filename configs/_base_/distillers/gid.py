# GID (Dai et al., CVPR 2021) of dense heads, with the authors' weights: features, relations and predictions of the 10
# boxes of a picture on which student and teacher disagree most. cls_weight and bbox_weight are the paper's lambda_3
# times alpha and beta.
distillers = dict(
    gid=dict(
        type='GIDDistiller',
        predictions='dense',
        source='neck',
        adapter=dict(type='Conv3x3Adapter'),
        feat_weight=5e-4,
        rel_weight=40.0,
        cls_weight=0.1,
        bbox_weight=1.0,
        instances=10))
