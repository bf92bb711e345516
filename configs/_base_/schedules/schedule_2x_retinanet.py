# Half of the usual rate, with which mmdet trains RetinaNet, GFL and RepPoints.
_base_ = './schedule_2x.py'

optim_wrapper = dict(optimizer=dict(lr=0.01))
