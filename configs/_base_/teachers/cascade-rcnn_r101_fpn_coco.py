teacher = dict(
    config='mmdet::cascade_rcnn/cascade-rcnn_r101_fpn_20e_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_rcnn_r101_fpn_20e_coco/'
    'cascade_rcnn_r101_fpn_20e_coco_bbox_mAP-0.425_20200504_231812-5057dcc5.pth',
)  # 42.5 box AP, as mmdet reports it
