_base_ = [
    '../students/fcos_r50-caffe_fpn.py',
    '../teachers/fcos_r101-caffe_fpn_coco.py',
    '../datasets/coco_detection.py',
    '../schedules/schedule_2x_fcos.py',
    '../default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector', teacher=_base_.teacher, num_classes=_base_.num_classes)
del _base_.teacher
