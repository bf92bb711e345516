teacher = dict(
    config='mmdet::faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_caffe_c4_1x_coco/'
    'faster_rcnn_r50_caffe_c4_1x_coco_20220316_150152-3f885b85.pth',
)  # 35.6 box AP, as mmdet reports it
