# For pictures of 344 px instead of 688: objects, and so anchors, are half as large.
_base_ = './faster-rcnn_alexnet.py'

model = dict(rpn_head=dict(anchor_generator=dict(scales=[4, 8, 16])))
