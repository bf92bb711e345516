_base_ = 'mmdet::_base_/datasets/voc0712.py'  # trains on 07+12 trainval, 3 times an epoch; tests on 07 test, 11 points

num_classes = 20
