# The zoo has no such weights. `python tools/train.py configs/baselines/faster-rcnn_r50_fpn_4e_voc0712.py` makes them.
teacher = dict(
    config='configs/baselines/faster-rcnn_r50_fpn_4e_voc0712.py',
    checkpoint='work_dirs/faster-rcnn_r50_fpn_4e_voc0712/epoch_4.pth')
