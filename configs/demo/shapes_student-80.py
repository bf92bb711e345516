# The student at half the resolution: pictures of 80 px, anchors and RoI levels half as large.
_base_ = './shapes_student.py'

model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[1.25])),
    roi_head=dict(bbox_roi_extractor=dict(finest_scale=10)))

resize = dict(type='Resize', scale=(80, 80), keep_ratio=True)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
del resize
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
