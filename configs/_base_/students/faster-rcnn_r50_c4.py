# The detector without a neck, with the ImageNet weights, the style and the normalisation of the other students here.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py'

norm_cfg = dict(type='BN', requires_grad=True)
pretrained = dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet50-0676ba61.pth')
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(style='pytorch', norm_cfg=norm_cfg, init_cfg=pretrained),
    roi_head=dict(shared_head=dict(style='pytorch', norm_cfg=norm_cfg, init_cfg=pretrained)))
