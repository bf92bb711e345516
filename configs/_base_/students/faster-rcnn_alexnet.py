# The AlexNet of the papers, in two groups. Its weights are made once:
#   python tools/model_converters/caffe_to_mmdet_kd.py alexnet bvlc_alexnet.caffemodel data/pretrained/alexnet.pth
# torchvision's is narrower: backbone=dict(groups=1), with VGG16's data_preprocessor and
#   https://download.pytorch.org/models/alexnet-owt-7be5be79.pth
_base_ = './faster-rcnn_vgg16.py'

pretrained = dict(checkpoint='data/pretrained/alexnet.pth')
model = dict(
    data_preprocessor=dict(mean=[103.939, 116.779, 123.68], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(type='AlexNet', frozen_stages=1, init_cfg=pretrained),
    rpn_head=dict(in_channels=256, feat_channels=256),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(output_size=6), out_channels=256),
        bbox_head=dict(type='AlexNetBBoxHead', init_cfg=pretrained)))
