"""The losses as pure functions: tensors in, tensor out. They import torch only."""

from .bounded_regression import teacher_bounded_l2
from .hint import HintNorm, hint_loss
from .reduction import weighted_average
from .soft_cross_entropy import class_weighted_soft_cross_entropy
from .softened import softened_bce, softened_kl, softened_sigmoid_kl

__all__ = [
    'HintNorm',
    'class_weighted_soft_cross_entropy',
    'hint_loss',
    'softened_bce',
    'softened_kl',
    'softened_sigmoid_kl',
    'teacher_bounded_l2',
    'weighted_average',
]
