# The student: a narrow ResNet-18, trained briefly.
_base_ = ['./_base_/faster-rcnn_shapes.py', './_base_/shapes_detection.py', './_base_/shapes_4e.py']
