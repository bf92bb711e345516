_base_ = [
    '../_base_/students/faster-rcnn_alexnet-tucker37.5.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x_no-norm.py',
    '../_base_/default_runtime.py',
]
load_from = 'work_dirs/tucker37.5/faster-rcnn_alexnet_1x_coco_tucker.pth'  # see ../chen2017/README.md
