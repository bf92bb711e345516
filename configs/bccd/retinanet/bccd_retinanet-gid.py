# GID, with the authors' weights times 3, the best of four factors on val.
_base_ = ['../_base_/retinanet.py', '../../_base_/distillers/gid.py']

_base_.distillers.gid.update(feat_weight=1.5e-3, rel_weight=120.0, cls_weight=0.3, bbox_weight=3.0)

model = dict(distillers=_base_.distillers)
del _base_.distillers
