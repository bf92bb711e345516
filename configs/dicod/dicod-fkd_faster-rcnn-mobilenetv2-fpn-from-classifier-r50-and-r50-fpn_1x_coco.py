_base_ = [
    './dicod_faster-rcnn-mobilenetv2-fpn-from-classifier-r50_1x_coco.py',
    '../_base_/teachers/faster-rcnn_r50_fpn_coco.py',
    '../_base_/distillers/fkd-two-stage.py',
]
model = dict(
    teacher=None,  # there are two now
    teachers=dict(detector=_base_.teacher, classifier=_base_.model.teacher),
    distillers=_base_.distillers,
)
del _base_.teacher, _base_.distillers
