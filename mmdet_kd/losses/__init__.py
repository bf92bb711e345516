"""Registered losses, each a thin module over a pure function of :mod:`mmdet_kd.losses.functional`."""

from .class_weighted_soft_cross_entropy_loss import ClassWeightedSoftCrossEntropyLoss
from .hint_loss import HintLoss
from .softened_losses import SoftenedBCELoss, SoftenedKLLoss
from .teacher_bounded_l2_loss import TeacherBoundedL2Loss

__all__ = [
    'ClassWeightedSoftCrossEntropyLoss',
    'HintLoss',
    'SoftenedBCELoss',
    'SoftenedKLLoss',
    'TeacherBoundedL2Loss',
]
