_base_ = [
    '../_base_/students/faster-rcnn_r18_fpn.py',
    '../_base_/teachers/faster-rcnn_r50_fpn_coco.py',
    '../_base_/distillers/chen2017.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_2x.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=_base_.teacher,
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
)
del _base_.teacher, _base_.distillers
