# The classifier for SSD, which subtracts the mean from its pictures and no more.
_base_ = './crop-classifier_r50.py'

model = dict(data_preprocessor=dict(std=[1, 1, 1], pad_size_divisor=1))
