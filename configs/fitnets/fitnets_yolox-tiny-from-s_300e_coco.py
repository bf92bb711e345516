_base_ = [
    'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py',
    '../_base_/teachers/yolox_s_coco.py',
    '../_base_/distillers/fitnets.py',
    '../_base_/distillation_hooks.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector',
    teacher=_base_.teacher,
    distillers=_base_.distillers,
)
default_hooks = _base_.distillation_hooks
del _base_.teacher, _base_.distillers, _base_.distillation_hooks
