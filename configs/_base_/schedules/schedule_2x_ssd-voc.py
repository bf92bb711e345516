# SSD on VOC: half of its rate on COCO, as in mmdet, whose last step is two epochs earlier.
_base_ = './schedule_2x_ssd.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))
