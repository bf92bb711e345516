# mmdet's schedule for VOC. Its data fragments repeat the set, so that an epoch here is several over the images.
# mmdet has no file for it to inherit from, and no warm-up in it; a distilled run starts with larger losses, hence the
# warm-up of its COCO schedules.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=4, by_epoch=True, milestones=[3], gamma=0.1),
]

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001))

# the learning rate is meant for 8 GPUs with 2 images each; `--auto-scale-lr` fits it to what is there
auto_scale_lr = dict(enable=False, base_batch_size=16)
