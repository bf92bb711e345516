_base_ = [
    '../_base_/students/faster-rcnn_r50_fpn.py',
    '../_base_/teachers/faster-rcnn_r101_fpn_voc07.py',
    '../_base_/distillers/chen2017.py',
    '../_base_/datasets/voc07.py',
    '../_base_/schedules/schedule_4e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=_base_.teacher,
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
)
del _base_.teacher, _base_.distillers
