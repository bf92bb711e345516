_base_ = [
    '../students/ssd512_vgg16.py',
    '../teachers/retinanet_r101_fpn_coco.py',
    '../datasets/coco_ssd512.py',
    '../schedules/schedule_2x_ssd.py',
    '../default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector', teacher=_base_.teacher, num_classes=_base_.num_classes)
del _base_.teacher
