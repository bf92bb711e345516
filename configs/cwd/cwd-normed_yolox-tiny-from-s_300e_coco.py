_base_ = [
    'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py',
    '../_base_/teachers/yolox_s_coco.py',
    '../_base_/distillers/cwd-normed.py',
    '../_base_/distillation_hooks.py',
]
# counted as in the YOLOXModeSwitchHook of the base, which trains with light augmentation from then on
distillers = dict(cwd=dict(_base_.distillers.cwd, num_last_epochs=15))
model = dict(
    type='KnowledgeDistillationOneStageDetector',
    teacher=_base_.teacher,
    distillers=distillers,
)
default_hooks = _base_.distillation_hooks
del _base_.teacher, _base_.distillers, _base_.distillation_hooks, distillers
