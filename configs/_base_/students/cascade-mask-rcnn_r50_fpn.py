_base_ = 'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py'  # wants data with masks

model = dict(backbone=dict(init_cfg=dict(checkpoint='https://download.pytorch.org/models/resnet50-0676ba61.pth')))
