_base_ = 'mmdet::_base_/models/ssd300.py'  # wants pictures of 300x300: the data of its name

del _base_.input_size, _base_.cudnn_benchmark
