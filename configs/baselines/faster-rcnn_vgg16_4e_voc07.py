_base_ = [
    '../_base_/students/faster-rcnn_vgg16.py',
    '../_base_/datasets/voc07.py',
    '../_base_/schedules/schedule_4e.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))  # a network without batch norm
