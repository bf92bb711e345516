# The zoo has no such weights. `python tools/train.py configs/baselines/faster-rcnn_alexnet_4e_voc07-688.py` makes them.
teacher = dict(
    config='configs/baselines/faster-rcnn_alexnet_4e_voc07-688.py',
    checkpoint='work_dirs/faster-rcnn_alexnet_4e_voc07-688/epoch_4.pth')
