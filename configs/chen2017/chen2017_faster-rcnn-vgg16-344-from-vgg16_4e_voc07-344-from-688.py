_base_ = [
    '../_base_/students/faster-rcnn_vgg16-344.py',
    '../_base_/teachers/faster-rcnn_vgg16_voc07-688.py',
    '../_base_/distillers/chen2017-c4.py',
    '../_base_/datasets/voc07-344-from-688.py',
    '../_base_/schedules/schedule_4e_no-norm.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=_base_.teacher,
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
    student_scale=344 / 688,
)
del _base_.teacher, _base_.distillers
