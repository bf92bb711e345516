# As in mmdet::ssd/ssd512_coco.py. It wants pictures of 512x512: the data of its name.
_base_ = './ssd300_vgg16.py'

channels = (512, 1024, 512, 256, 256, 256, 256)
model = dict(
    neck=dict(
        out_channels=channels,
        level_strides=(2, 2, 2, 2, 1),
        level_paddings=(1, 1, 1, 1, 1),
        last_kernel_size=4),
    bbox_head=dict(
        in_channels=channels,
        anchor_generator=dict(
            input_size=512,
            basesize_ratio_range=(0.1, 0.9),
            strides=[8, 16, 32, 64, 128, 256, 512],
            ratios=[[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]])))
del channels
