"""Image classifiers of what detection sets have boxes around."""

from .crop_classifier import CropClassifier
from .crops import crop_boxes
from .early_maps import PIXELS, Layer, early_maps

__all__ = ['PIXELS', 'CropClassifier', 'Layer', 'crop_boxes', 'early_maps']
