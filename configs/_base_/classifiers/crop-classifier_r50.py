# A classifier of what is in a detection set's boxes: ResNet-50 on crops of 112 px, trained with a softmax and with
# sigmoids on the same logits, so that it can teach heads of either kind (DICOD: Guo et al., NeurIPS 2021). It sees the
# pictures normalised as the detectors do that it will teach: those on ResNet and MobileNetV2.
model = dict(
    type='CropClassifier',
    num_classes=80,
    crop_size=112,
    backbone=dict(
        type='ResNet',
        depth=50,
        out_indices=(3, ),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet50-0676ba61.pth')),
    losses=dict(softmax=dict(type='CrossEntropyLoss'), sigmoid=dict(type='CrossEntropyLoss', use_sigmoid=True)),
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32))
custom_hooks = [dict(type='CropSetCheckHook')]
