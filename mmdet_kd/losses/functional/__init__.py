"""The losses as pure functions: tensors in, tensor out. They import torch only."""

from .bounded_regression import teacher_bounded_l2
from .hint import HintNorm, hint_loss
from .reduction import weighted_average
from .soft_cross_entropy import class_weighted_soft_cross_entropy

__all__ = [
    'HintNorm',
    'class_weighted_soft_cross_entropy',
    'hint_loss',
    'teacher_bounded_l2',
    'weighted_average',
]
