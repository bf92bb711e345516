_base_ = [
    '../_base_/students/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/voc07.py',
    '../_base_/schedules/schedule_4e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='https://download.pytorch.org/models/resnet101-63fe2227.pth')),
    roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
