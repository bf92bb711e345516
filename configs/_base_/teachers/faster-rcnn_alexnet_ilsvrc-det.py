# The zoo has no such weights. This makes them:
#   python tools/train.py configs/baselines/faster-rcnn_alexnet_1x_ilsvrc-det.py
teacher = dict(
    config='configs/baselines/faster-rcnn_alexnet_1x_ilsvrc-det.py',
    checkpoint='work_dirs/faster-rcnn_alexnet_1x_ilsvrc-det/epoch_12.pth')
