_base_ = [
    'mmdet::condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py',
    '../_base_/teachers/mask-rcnn_r101_fpn_coco.py',
    '../_base_/distillers/pkd-two-stage.py',
    '../_base_/distillation_hooks.py',
]
model = dict(
    type='KnowledgeDistillationDetector',
    detector=_base_.model.type,
    teacher=_base_.teacher,
    distillers=_base_.distillers,
)
default_hooks = _base_.distillation_hooks
del _base_.teacher, _base_.distillers, _base_.distillation_hooks
