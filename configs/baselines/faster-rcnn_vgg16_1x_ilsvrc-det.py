_base_ = [
    '../_base_/students/faster-rcnn_vgg16.py',
    '../_base_/datasets/ilsvrc-det.py',
    '../_base_/schedules/schedule_1x_no-norm.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
