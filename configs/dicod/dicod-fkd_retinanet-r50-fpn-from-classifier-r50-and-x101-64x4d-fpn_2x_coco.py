_base_ = [
    './dicod_retinanet-r50-fpn-from-classifier-r50_2x_coco.py',
    '../_base_/teachers/retinanet_x101-64x4d_fpn_coco.py',
    '../_base_/distillers/fkd.py',
]
model = dict(
    teacher=None,  # there are two now
    teachers=dict(detector=_base_.teacher, classifier=_base_.model.teacher),
    distillers=_base_.distillers,
)
del _base_.teacher, _base_.distillers
