_base_ = [
    '../_base_/students/faster-rcnn_qr50_fpn.py',
    '../_base_/teachers/classifier_r50_voc0712.py',
    '../_base_/distillers/dicod.py',
    '../_base_/datasets/voc0712.py',
    '../_base_/schedules/schedule_4e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=_base_.classifier,
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
)
del _base_.classifier, _base_.distillers
