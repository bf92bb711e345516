# VOC 07+12 at 512x512.
_base_ = './voc0712_ssd300.py'

resize = dict(type='Resize', scale=(512, 512), keep_ratio=False)
train_pipeline = [resize if step.type == 'Resize' else step for step in _base_.train_pipeline]
test_pipeline = [resize if step.type == 'Resize' else step for step in _base_.test_pipeline]
datasets = _base_.train_dataloader.dataset.dataset.datasets
train_dataloader = dict(
    dataset=dict(dataset=dict(datasets=[dict(part, pipeline=train_pipeline) for part in datasets])))
del resize, datasets
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
