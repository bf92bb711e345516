# The memory of the encoder, strides 8 to 64: the teacher has one of 4 beside them.
_base_ = [
    'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    '../_base_/teachers/dino-5scale_swin-l_coco.py',
    '../_base_/distillers/fitnets.py',
    '../_base_/distillation_hooks.py',
]
model = dict(
    type='KnowledgeDistillationDetector',
    detector=_base_.model.type,
    teacher=_base_.teacher,
    distillers=dict(fitnets=dict(_base_.distillers.fitnets, source='memory', levels=(0, 1, 2, 3))),
)
default_hooks = _base_.distillation_hooks
del _base_.teacher, _base_.distillers, _base_.distillation_hooks
