_base_ = [
    '../_base_/students/faster-rcnn_alexnet-tucker25.py',
    '../_base_/datasets/voc07.py',
    '../_base_/schedules/schedule_4e_no-norm.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
load_from = 'work_dirs/tucker25/faster-rcnn_alexnet_4e_voc07_tucker.pth'  # see ../chen2017/README.md
