_base_ = 'mmdet::_base_/datasets/coco_detection.py'

num_classes = 80
