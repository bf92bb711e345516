"""Metrics of data sets that mmdet has none for."""

from .kitti_metric import KittiMetric

__all__ = ['KittiMetric']
