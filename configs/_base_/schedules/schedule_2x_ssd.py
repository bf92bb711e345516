# The schedule of SSD on COCO, in mmdet and in the paper on DICOD. The learning rate is meant for 8 GPUs with 8 images
# each.
_base_ = './schedule_2x.py'

optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=5e-4))
auto_scale_lr = dict(base_batch_size=64)
