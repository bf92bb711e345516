# The zoo has no such weights. `python tools/train.py configs/baselines/faster-rcnn_alexnet_2x_kitti.py` makes them.
teacher = dict(
    config='configs/baselines/faster-rcnn_alexnet_2x_kitti.py',
    checkpoint='work_dirs/faster-rcnn_alexnet_2x_kitti/epoch_24.pth')
