_base_ = [
    '../_base_/students/faster-rcnn_r50_fpn.py',
    '../_base_/teachers/faster-rcnn_r101_fpn_coco.py',
    '../_base_/distillers/chen2017-ramp.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=_base_.teacher,
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
)
del _base_.teacher, _base_.distillers
