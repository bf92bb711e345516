"""Image classifiers of what detection sets have boxes around."""

from .crop_classifier import CropClassifier
from .crops import crop_boxes
from .early_maps import PIXELS, EarlyLayer, early_maps
from .timm_backbone import TimmBackbone

__all__ = ['PIXELS', 'CropClassifier', 'EarlyLayer', 'TimmBackbone', 'crop_boxes', 'early_maps']
