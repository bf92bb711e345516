# DIST (Huang et al., NeurIPS 2022), for RoI heads, with the authors' weights. The student's own loss stays whole (mu).
distillers = dict(dist=dict(type='RoIDistiller', mu=None, loss_cls=dict(type='DISTLoss')))
