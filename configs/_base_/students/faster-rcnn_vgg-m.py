# VGG_CNN_M_1024, whose fc7 has 1024 outputs: the VGG-M of Fast and Faster R-CNN. Its weights are made once:
#   python tools/model_converters/caffe_to_mmdet_kd.py vgg-m VGG_CNN_M_1024.caffemodel data/pretrained/vgg-m.pth
_base_ = './faster-rcnn_vgg16.py'

pretrained = dict(checkpoint='data/pretrained/vgg-m.pth')
model = dict(
    data_preprocessor=dict(mean=[103.939, 116.779, 123.68], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(type='VGGM', frozen_stages=1, init_cfg=pretrained),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(output_size=6)),
        bbox_head=dict(roi_feat_size=6, fc_channels=(4096, 1024), init_cfg=pretrained)))
