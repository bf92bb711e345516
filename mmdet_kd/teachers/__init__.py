"""Frozen models: building, strict loading, preprocessing of their own."""

from .checkpoint import Weights, read_weights
from .classes import classes_in_training, describe_difference, same_classes
from .config import load_teacher_config
from .detector_teacher import DetectorTeacher
from .preprocessing import preprocess_alike, preprocess_images

__all__ = [
    'DetectorTeacher',
    'Weights',
    'classes_in_training',
    'describe_difference',
    'load_teacher_config',
    'preprocess_alike',
    'preprocess_images',
    'read_weights',
    'same_classes',
]
