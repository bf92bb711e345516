# VOC's objects are larger than COCO's, and so are the smallest anchors, as in mmdet::pascal_voc/ssd512_voc0712.py.
_base_ = './ssd512_vgg16.py'

model = dict(bbox_head=dict(anchor_generator=dict(basesize_ratio_range=(0.15, 0.9))))
