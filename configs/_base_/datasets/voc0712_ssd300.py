# VOC 07+12 as mmdet trains SSD300 with it: an epoch is ten over the pictures, and small objects count.
_base_ = ['./voc0712.py', '../pipelines/ssd300.py']

train_pipeline = _base_.ssd_train_pipeline
test_pipeline = _base_.ssd_test_pipeline
del _base_.ssd_train_pipeline, _base_.ssd_test_pipeline
changes = dict(filter_cfg=dict(filter_empty_gt=True, min_size=32), pipeline=train_pipeline)
train_dataloader = dict(
    batch_size=8,
    batch_sampler=None,  # all pictures have one shape
    dataset=dict(
        times=10,
        dataset=dict(datasets=[dict(part, **changes) for part in _base_.train_dataloader.dataset.dataset.datasets])))
del changes
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
