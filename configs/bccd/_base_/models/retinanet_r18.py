# RetinaNet on a quarter of ResNet-18, trained from scratch.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

channels = 64
model = dict(
    backbone=dict(
        depth=18, base_channels=16, stem_channels=16, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=channels),
    bbox_head=dict(in_channels=channels, feat_channels=channels, num_classes=3))
del channels
