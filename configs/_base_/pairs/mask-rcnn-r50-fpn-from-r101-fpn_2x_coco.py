_base_ = [
    '../students/mask-rcnn_r50_fpn.py',
    '../teachers/mask-rcnn_r101_fpn_coco.py',
    '../datasets/coco_instance.py',
    '../schedules/schedule_2x.py',
    '../default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector', teacher=_base_.teacher, num_classes=_base_.num_classes)
del _base_.teacher
