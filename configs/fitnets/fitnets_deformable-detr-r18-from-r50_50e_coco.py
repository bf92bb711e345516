# The memory of the encoder; the student is its teacher with a ResNet-18.
_base_ = [
    'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    '../_base_/teachers/deformable-detr_r50_coco.py',
    '../_base_/distillers/fitnets.py',
    '../_base_/distillation_hooks.py',
]
model = dict(
    type='KnowledgeDistillationDetector',
    detector=_base_.model.type,
    backbone=dict(depth=18, init_cfg=dict(checkpoint='https://download.pytorch.org/models/resnet18-f37072fd.pth')),
    neck=dict(in_channels=[128, 256, 512]),
    teacher=_base_.teacher,
    distillers=dict(fitnets=dict(_base_.distillers.fitnets, source='memory')),
)
default_hooks = _base_.distillation_hooks
del _base_.teacher, _base_.distillers, _base_.distillation_hooks
