# The teacher of the GFL student: the whole ResNet-18, trained twice as long.
_base_ = ['./_base_/models/gfl_r18.py', './_base_/bccd_detection.py', './_base_/bccd_16e.py']

model = dict(
    backbone=dict(base_channels=64, stem_channels=64),
    neck=dict(in_channels=[64, 128, 256, 512]))
