_base_ = [
    '../_base_/students/faster-rcnn_alexnet.py',
    '../_base_/teachers/faster-rcnn_alexnet_coco.py',
    '../_base_/distillers/chen2017-c4.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x_no-norm.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=_base_.teacher,
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
)
del _base_.teacher, _base_.distillers
