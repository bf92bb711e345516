# Your own data in COCO's format, as tools/dataset_converters/own.py writes it from any layout. Small boxes and small
# pictures count, pictures without an object too, and COCO's AP judges. Above it, say where yours is and what is in it:
#
#     _base_ = '../_base_/datasets/own_coco.py'
#     own = dict(data_root='data/helmets/', metainfo=dict(classes=('helmet', 'head')))
#     num_classes = len(own['metainfo']['classes'])
#     train_dataloader = dict(dataset=dict(**own, ann_file='coco/train.json'))
#     val_dataloader = dict(dataset=dict(**own, ann_file='coco/val.json'))
#     test_dataloader = val_dataloader
_base_ = 'mmdet::_base_/datasets/coco_detection.py'

data_root = 'data/own/'
num_classes = None  # yours

train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='coco/train.json',
        data_prefix=dict(img=''),  # files are named from the root
        filter_cfg=dict(_delete_=True, filter_empty_gt=False)))
test_pipeline = [
    *_base_.test_pipeline[:-1],
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances')),
]  # the boxes as they are in the file, for the metric
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, ann_file='coco/val.json', data_prefix=dict(img=''), pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='CocoMetric', metric='bbox')
test_evaluator = val_evaluator
