# BCKD (Yang et al., ICCV 2023), for dense heads that score by sigmoids, with the authors' weights.
distillers = dict(bckd=dict(type='BCKDDistiller', cls_weight=1.0, bbox_weight=4.0))
