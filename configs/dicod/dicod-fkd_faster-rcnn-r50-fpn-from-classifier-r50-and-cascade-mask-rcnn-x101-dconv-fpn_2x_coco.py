_base_ = [
    './dicod_faster-rcnn-r50-fpn-from-classifier-r50_2x_coco.py',
    '../_base_/teachers/cascade-mask-rcnn_x101-dconv_fpn_coco.py',
    '../_base_/distillers/fkd-two-stage.py',
]
model = dict(
    teacher=None,  # there are two now
    teachers=dict(detector=_base_.teacher, classifier=_base_.model.teacher),
    distillers=_base_.distillers,
)
del _base_.teacher, _base_.distillers
