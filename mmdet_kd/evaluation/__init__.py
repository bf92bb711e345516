"""Metrics of data sets that mmdet has none for."""

from .crop_accuracy import CropAccuracy
from .kitti_metric import KittiMetric

__all__ = ['CropAccuracy', 'KittiMetric']
