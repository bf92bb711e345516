_base_ = [
    '../students/retinanet_r50_fpn.py',
    '../teachers/cascade-mask-rcnn_x101-dconv_fpn_coco.py',
    '../datasets/coco_detection.py',
    '../schedules/schedule_2x_retinanet.py',
    '../default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector', teacher=_base_.teacher, num_classes=_base_.num_classes)
del _base_.teacher
