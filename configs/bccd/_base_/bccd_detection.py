# BCCD, 364 pictures of blood cells: trained on trainval, tested on test. `git clone
# https://github.com/Shenggan/BCCD_Dataset`, put its folder BCCD in data/bccd, then
# `python tools/dataset_converters/own.py data/bccd`.
_base_ = '../../demo/_base_/shapes_detection.py'  # its loaders, hooks and runtime

data_root = 'data/bccd/'
metainfo = dict(classes=('Platelets', 'RBC', 'WBC'))
data_prefix = dict(img='')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(320, 240), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='coco/trainval.json',
        data_prefix=data_prefix,
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='coco/test.json',
        data_prefix=data_prefix,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'coco/test.json')
test_evaluator = val_evaluator
custom_imports = dict(imports=['mmdet_kd'], allow_failed_imports=False)
default_hooks = dict(exact_resume=dict(type='ExactResumeHook'), checkpoint=dict(type='WholeCheckpointHook'))
