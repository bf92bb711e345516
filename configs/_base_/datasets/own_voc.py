# Your own data in VOC's layout (Annotations, JPEGImages, ImageSets/Main), read as it is: no file is converted. Small
# boxes count, nothing is repeated, and COCO's AP judges. Above it, say where yours is and what is in it:
#
#     _base_ = '../_base_/datasets/own_voc.py'
#     own = dict(data_root='data/helmets/', metainfo=dict(classes=('helmet', 'head')))
#     num_classes = len(own['metainfo']['classes'])
#     train_dataloader = dict(dataset=dict(**own, ann_file='ImageSets/Main/train.txt'))
#     val_dataloader = dict(dataset=dict(**own, ann_file='ImageSets/Main/val.txt'))
#     test_dataloader = val_dataloader
#
# mmdet takes 1, 1 for the first pixel, as PASCAL VOC does; tools/dataset_converters/own.py takes 0, 0.
_base_ = './own_coco.py'

voc = dict(
    type='XMLDataset',
    data_prefix=dict(_delete_=True, sub_data_root=''),
    ann_subdir='Annotations',
    img_subdir='JPEGImages')
train_dataloader = dict(
    dataset=dict(
        **voc,
        ann_file='ImageSets/Main/train.txt',
        filter_cfg=dict(filter_empty_gt=False, bbox_min_size=1)))  # pixels: boxes without width or height are left out
val_dataloader = dict(dataset=dict(**voc, ann_file='ImageSets/Main/val.txt'))
test_dataloader = val_dataloader
del voc
