_base_ = [
    '../students/atss_r50_fpn.py',
    '../teachers/atss_r101_fpn_coco.py',
    '../datasets/coco_detection.py',
    '../schedules/schedule_1x_retinanet.py',
    '../default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector', teacher=_base_.teacher, num_classes=_base_.num_classes)
del _base_.teacher
