"""Frozen models: building, strict loading, preprocessing of their own."""

from .base import BaseTeacher
from .batch import Batch, LoadedPictures
from .checkpoint import Weights, read_weights
from .classifier_teacher import ClassifierTeacher
from .config import load_teacher_config
from .detector_teacher import DetectorTeacher
from .paths import find_teacher_files
from .preprocessing import preprocess_alike, preprocess_images, suitable_channels

__all__ = [
    'BaseTeacher',
    'Batch',
    'ClassifierTeacher',
    'DetectorTeacher',
    'LoadedPictures',
    'Weights',
    'find_teacher_files',
    'load_teacher_config',
    'preprocess_alike',
    'preprocess_images',
    'read_weights',
    'suitable_channels',
]
