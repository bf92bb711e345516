# ResNet-50 with a quarter of the channels everywhere, the stem included (QR50 in the paper on DICOD). Nobody has
# ImageNet weights of it, so it starts from scratch here: nothing is frozen, and batch norm learns its statistics. Give
# weights of your own by backbone=dict(init_cfg=...), and what mmdet does with pretrained ones by frozen_stages=1 and
# norm_eval=True.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

model = dict(
    backbone=dict(
        base_channels=16,  # the stem has as many
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512]))
