_base_ = [
    '../_base_/students/ssd512_vgg16_voc0712.py',
    '../_base_/datasets/voc0712_ssd512.py',
    '../_base_/schedules/schedule_2x_ssd-voc.py',
    '../_base_/default_runtime.py',
]
model = dict(bbox_head=dict(num_classes=_base_.num_classes))
