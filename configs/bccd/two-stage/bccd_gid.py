# GID, with the best of three weights on val: the authors', times 0.3.
_base_ = ['../_base_/two-stage.py', '../../_base_/distillers/gid-two-stage.py']

_base_.distillers.gid.update(feat_weight=1.5e-4, rel_weight=12.0, cls_weight=0.03, bbox_weight=0.3)
model = dict(distillers=_base_.distillers)
del _base_.distillers
