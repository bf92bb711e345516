_base_ = [
    'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    '../_base_/teachers/rtmdet_s_coco.py',
    '../_base_/distillers/cwd-normed.py',
    '../_base_/distillation_hooks.py',
]
# counted as in the PipelineSwitchHook of the base, which trains with light augmentation from then on
distillers = dict(cwd=dict(_base_.distillers.cwd, stop_epoch=280))
model = dict(
    type='KnowledgeDistillationOneStageDetector',
    detector=_base_.model.type,
    data_preprocessor=dict(pad_size_divisor=32),  # its neck joins maps, which not every size allows
    teacher=_base_.teacher,
    distillers=distillers,
)
default_hooks = _base_.distillation_hooks
del _base_.teacher, _base_.distillers, _base_.distillation_hooks, distillers
