# The map of stride 16: the only one of the student, whose three branches learn it, and the third of the teacher.
_base_ = [
    'mmdet::tridentnet/tridentnet_r50-caffe_1x_coco.py',
    '../_base_/teachers/faster-rcnn_r101-caffe_fpn_coco.py',
    '../_base_/distillers/fitnets.py',
    '../_base_/distillation_hooks.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    detector=_base_.model.type,
    teacher=_base_.teacher,
    distillers=dict(fitnets=dict(_base_.distillers.fitnets, source='backbone', levels=(0,), teacher_levels=(2,))),
)
default_hooks = _base_.distillation_hooks
del _base_.teacher, _base_.distillers, _base_.distillation_hooks
