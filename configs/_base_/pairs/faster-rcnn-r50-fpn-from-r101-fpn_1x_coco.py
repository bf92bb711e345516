_base_ = [
    '../students/faster-rcnn_r50_fpn.py',
    '../teachers/faster-rcnn_r101_fpn_coco.py',
    '../datasets/coco_detection.py',
    '../schedules/schedule_1x.py',
    '../default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector', teacher=_base_.teacher, num_classes=_base_.num_classes)
del _base_.teacher
