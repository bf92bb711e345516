# COCO as SSD300 is trained with it, in mmdet and in the paper on DICOD: an epoch is five over the pictures.
_base_ = ['./coco_detection.py', '../pipelines/ssd300.py']

train_pipeline = _base_.ssd_train_pipeline
test_pipeline = _base_.ssd_test_pipeline
del _base_.ssd_train_pipeline, _base_.ssd_test_pipeline
train_dataloader = dict(
    batch_size=8,
    batch_sampler=None,  # all pictures have one shape
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=5,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline)))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
