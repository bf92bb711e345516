_base_ = [
    '../_base_/students/ssd512_vgg16.py',
    '../_base_/datasets/coco_ssd512.py',
    '../_base_/schedules/schedule_2x_ssd.py',
    '../_base_/default_runtime.py',
]
