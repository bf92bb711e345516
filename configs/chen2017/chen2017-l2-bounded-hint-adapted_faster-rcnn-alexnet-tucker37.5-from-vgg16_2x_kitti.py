_base_ = [
    '../_base_/students/faster-rcnn_alexnet-tucker37.5.py',
    '../_base_/teachers/faster-rcnn_vgg16_kitti.py',
    '../_base_/distillers/chen2017-l2-bounded-hint-adapted-c4.py',
    '../_base_/datasets/kitti.py',
    '../_base_/schedules/schedule_2x_no-norm.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='KnowledgeDistillationTwoStageDetector',
    teacher=_base_.teacher,
    distillers=_base_.distillers,
    num_classes=_base_.num_classes,
)
del _base_.teacher, _base_.distillers
load_from = 'work_dirs/tucker37.5/faster-rcnn_alexnet_2x_kitti_tucker.pth'  # see ../chen2017/README.md
