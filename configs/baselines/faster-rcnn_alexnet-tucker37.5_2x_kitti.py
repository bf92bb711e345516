_base_ = [
    '../_base_/students/faster-rcnn_alexnet-tucker37.5.py',
    '../_base_/datasets/kitti.py',
    '../_base_/schedules/schedule_2x_no-norm.py',
    '../_base_/default_runtime.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))
load_from = 'work_dirs/tucker37.5/faster-rcnn_alexnet_2x_kitti_tucker.pth'  # see ../chen2017/README.md
