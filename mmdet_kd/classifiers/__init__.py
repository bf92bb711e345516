"""Image classifiers of what detection sets have boxes around."""

from .crop_classifier import CropClassifier
from .crops import crop_boxes

__all__ = ['CropClassifier', 'crop_boxes']
