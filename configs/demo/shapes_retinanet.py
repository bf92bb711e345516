# A one-stage student, trained as briefly as the other one.
_base_ = ['./_base_/retinanet_shapes.py', './_base_/shapes_detection.py', './_base_/shapes_4e.py']
