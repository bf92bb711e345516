_base_ = [
    '../_base_/students/faster-rcnn_alexnet.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x_no-norm.py',
    '../_base_/default_runtime.py',
]
