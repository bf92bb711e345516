_base_ = [
    'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    '../_base_/teachers/rtmdet_s_coco.py',
    '../_base_/distillers/fitnets.py',
    '../_base_/distillation_hooks.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector',
    detector=_base_.model.type,
    data_preprocessor=dict(pad_size_divisor=32),  # its neck joins maps, which not every size allows
    teacher=_base_.teacher,
    distillers=_base_.distillers,
)
default_hooks = _base_.distillation_hooks
del _base_.teacher, _base_.distillers, _base_.distillation_hooks
