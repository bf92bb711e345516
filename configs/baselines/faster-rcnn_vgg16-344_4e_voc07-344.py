_base_ = [
    '../_base_/students/faster-rcnn_vgg16-344.py',
    '../_base_/datasets/voc07-344.py',
    '../_base_/schedules/schedule_4e_no-norm.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
