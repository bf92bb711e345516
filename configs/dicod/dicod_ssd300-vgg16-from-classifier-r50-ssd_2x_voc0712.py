_base_ = [
    '../_base_/students/ssd300_vgg16_voc0712.py',
    '../_base_/teachers/classifier_r50-ssd_voc0712.py',
    '../_base_/distillers/dicod-std1.py',
    '../_base_/datasets/voc0712_ssd300.py',
    '../_base_/schedules/schedule_2x_ssd-voc.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationOneStageDetector',
    teacher=_base_.classifier,
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
)
del _base_.classifier, _base_.distillers
