teacher = dict(
    config='mmdet::yolox/yolox_s_8xb8-300e_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_s_8x8_300e_coco/'
    'yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth',
)  # 40.5 box AP, as mmdet reports it
