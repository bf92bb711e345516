_base_ = [
    '../_base_/students/faster-rcnn_vgg16.py',
    '../_base_/datasets/coco_detection.py',
    '../_base_/schedules/schedule_1x.py',
    '../_base_/default_runtime.py',
]
# a network without batch norm: half of the usual rate, and no step too long
optim_wrapper = dict(optimizer=dict(lr=0.01), clip_grad=dict(max_norm=35, norm_type=2))
