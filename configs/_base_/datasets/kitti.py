# KITTI's 2D boxes: trains on the 3712 pictures of the usual split, tests on its 3769.
# tools/dataset_converters/kitti.py checks the set and writes the annotation files.
_base_ = 'mmdet::_base_/datasets/coco_detection.py'

data_root = 'data/kitti/'
metainfo = dict(classes=('Car', 'Pedestrian', 'Cyclist'))
num_classes = 3

# Pictures are 1242x375 and many objects 25 to 40 pixels high. 600 pixels of height cost as much as COCO's 1333x800.
scale = (2000, 600)
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/train.json',
        data_prefix=dict(img='training/image_2/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/val.json',
        data_prefix=dict(img='training/image_2/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

# VOC's mAP at IoU 0.5, where Van, Person_sitting and DontCare are ignored as VOC's difficult objects are; and KITTI's.
val_evaluator = [
    dict(type='VOCMetric', metric='mAP', eval_mode='area'),
    dict(type='KittiMetric', ann_file=data_root + 'annotations/val.json', backend_args=_base_.backend_args)
]
test_evaluator = val_evaluator
