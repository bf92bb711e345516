_base_ = 'mmdet::_base_/datasets/coco_instance.py'  # boxes and masks, for a student with a mask head

num_classes = 80
