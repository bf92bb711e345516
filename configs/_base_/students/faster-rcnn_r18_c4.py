_base_ = './faster-rcnn_r50_c4.py'

pretrained = dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet18-f37072fd.pth')
model = dict(
    backbone=dict(depth=18, init_cfg=pretrained),
    rpn_head=dict(in_channels=256, feat_channels=256),
    roi_head=dict(
        shared_head=dict(depth=18, init_cfg=pretrained),
        bbox_roi_extractor=dict(out_channels=256),
        bbox_head=dict(in_channels=512)))
