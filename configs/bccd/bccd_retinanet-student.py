# RetinaNet on a quarter of ResNet-18, trained from scratch.
_base_ = ['./_base_/models/retinanet_r18.py', './_base_/bccd_detection.py', './_base_/bccd_8e.py']
