teacher = dict(
    config='mmdet::faster_rcnn/faster-rcnn_r101-caffe_fpn_1x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r101_caffe_fpn_1x_coco/'
    'faster_rcnn_r101_caffe_fpn_1x_coco_bbox_mAP-0.398_20200504_180057-b269e9dd.pth',
)  # 39.8 box AP, as mmdet reports it
