# Faster R-CNN as it was first published: one map, fc6 and fc7; the weights are torchvision's. It pooled its RoIs, which
# mmcv does on GPUs alone, hence RoIAlign: roi_layer=dict(_delete_=True, type='RoIPool', output_size=7) is the original.
# Weights of Caffe (tools/model_converters/caffe_to_mmdet_kd.py) want the data_preprocessor of faster-rcnn_vgg-m.py.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py'

pretrained = dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/vgg16-397923af.pth')
model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(_delete_=True, type='VGG16', frozen_stages=2, init_cfg=pretrained),  # frozen as in Fast R-CNN
    rpn_head=dict(
        in_channels=512,
        feat_channels=512,
        anchor_generator=dict(scales=[8, 16, 32]),
        loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9)),
    roi_head=dict(
        shared_head=None,
        bbox_roi_extractor=dict(roi_layer=dict(output_size=7), out_channels=512),
        bbox_head=dict(_delete_=True, type='VGGBBoxHead', num_classes=80, init_cfg=pretrained)),
    # what lies in a region that the annotation leaves open (DontCare, difficult, crowd) is no background
    train_cfg=dict(rpn=dict(assigner=dict(ignore_iof_thr=0.5)), rcnn=dict(assigner=dict(ignore_iof_thr=0.5))),
    test_cfg=dict(rpn=dict(max_per_img=300)))
