# The student at half the resolution: pictures of 80 px, and strides, anchors and RoI levels half as large. The last
# stage of the backbone, whose stride would be 32, is left out.
_base_ = './shapes_student.py'

strides = [4, 8, 16]
model = dict(
    backbone=dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(0, 1, 2)),
    neck=dict(in_channels=[16, 32, 64]),
    rpn_head=dict(anchor_generator=dict(strides=strides)),
    roi_head=dict(bbox_roi_extractor=dict(featmap_strides=strides, finest_scale=10)))
del strides

resize = dict(type='Resize', scale=(80, 80), keep_ratio=True)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
del resize
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
