teacher = dict(
    config='mmdet::dino/dino-5scale_swin-l_8xb2-12e_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v3.0/dino/dino-5scale_swin-l_8xb2-12e_coco/'
    'dino-5scale_swin-l_8xb2-12e_coco_20230228_072924-a654145f.pth',
)  # 57.2 box AP, as mmdet reports it
