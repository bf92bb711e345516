# GID, with the best of three weights on val: the authors', times 0.1.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/gid-two-stage.py']

_base_.distillers.gid.update(feat_weight=5e-5, rel_weight=4.0, cls_weight=0.01, bbox_weight=0.1)
model = dict(distillers=_base_.distillers)
del _base_.distillers
