_base_ = [
    './dicod_ssd512-vgg16-from-classifier-r50-ssd_2x_coco.py',
    '../_base_/teachers/retinanet_r101_fpn_coco.py',
    '../_base_/distillers/fkd-ssd512.py',
]
model = dict(
    teacher=None,  # there are two now
    teachers=dict(detector=_base_.teacher, classifier=_base_.model.teacher),
    distillers=_base_.distillers,
)
del _base_.teacher, _base_.distillers
