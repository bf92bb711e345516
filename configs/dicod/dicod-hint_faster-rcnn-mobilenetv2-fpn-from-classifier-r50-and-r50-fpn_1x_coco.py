_base_ = [
    '../_base_/students/faster-rcnn_mobilenetv2_fpn.py',
    '../_base_/teachers/classifier_r50_coco.py',
    '../_base_/teachers/faster-rcnn_r50_fpn_coco.py',
    '../_base_/distillers/dicod-hint.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teachers=dict(detector=_base_.teacher, classifier=_base_.classifier),
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
)
del _base_.teacher, _base_.classifier, _base_.distillers
