_base_ = [
    '../_base_/students/faster-rcnn_qr50_fpn.py',
    '../_base_/datasets/voc0712.py',
    '../_base_/schedules/schedule_4e.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
