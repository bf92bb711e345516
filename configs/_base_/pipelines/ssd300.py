# How SSD300 sees its pictures: what its data fragments share, as in mmdet::ssd/ssd300_coco.py.
load = dict(type='LoadImageFromFile', backend_args=None)
annotations = dict(type='LoadAnnotations', with_bbox=True)
resize = dict(type='Resize', scale=(300, 300), keep_ratio=False)
ssd_train_pipeline = [
    load,
    annotations,
    dict(type='Expand', mean=[123.675, 116.28, 103.53], to_rgb=True, ratio_range=(1, 4)),
    dict(type='MinIoURandomCrop', min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3),
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='PhotoMetricDistortion',
        brightness_delta=32,
        contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5),
        hue_delta=18),
    dict(type='PackDetInputs')
]
ssd_test_pipeline = [
    load,
    resize,
    annotations,
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]
del load, annotations, resize
