# A classifier of the demo's shapes, which can teach detectors: the teacher's backbone on crops of 56 px.
_base_ = './_base_/shapes_detection.py'
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)

model = dict(
    type='CropClassifier',
    num_classes=6,
    crop_size=56,
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=32,
        out_indices=(3, ),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False),
    losses=dict(
        softmax=dict(type='CrossEntropyLoss'),
        sigmoid=dict(type='CrossEntropyLoss', use_sigmoid=True)),
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32))
# The boxes are those of the picture that is seen, so they are loaded before it is resized.
test_pipeline = [_base_.test_pipeline[step] for step in (0, 2, 1, 3)]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='CropAccuracy', topk=(1, 2))
test_evaluator = val_evaluator

max_epochs = 3
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.003, weight_decay=0.02))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', begin=0, end=max_epochs, T_max=max_epochs, convert_to_iter_based=True),
]
custom_hooks = [dict(type='CropSetCheckHook')]
work_dir = 'work_dirs/demo/shapes_classifier'  # where the demo's distillations look for it
