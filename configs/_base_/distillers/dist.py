# DIST (Huang et al., NeurIPS 2022), for dense heads that score by sigmoids, with the authors' weights: how the scores
# of a cell go together, and how those of a class do over the cells of a level.
distillers = dict(
    dist=dict(type='DenseHeadDistiller', priors='all', loss_cls=dict(type='DISTLoss', use_sigmoid=True)))
