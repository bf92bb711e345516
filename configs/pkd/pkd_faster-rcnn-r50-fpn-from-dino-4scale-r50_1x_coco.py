_base_ = [
    '../_base_/students/faster-rcnn_r50_fpn.py',
    '../_base_/teachers/dino-4scale_r50_coco.py',
    '../_base_/distillers/pkd-two-stage.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=_base_.teacher,
    distillers=dict(pkd=dict(_base_.distillers.pkd, levels=(1, 2, 3, 4))),  # strides 8 to 64, which DINO has
    num_classes=_base_.num_classes,
)
del _base_.teacher, _base_.distillers
