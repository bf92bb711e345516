_base_ = 'mmdet::_base_/models/cascade-rcnn_r50_fpn.py'

model = dict(backbone=dict(init_cfg=dict(checkpoint='https://download.pytorch.org/models/resnet50-0676ba61.pth')))
