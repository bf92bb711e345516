"""Registered losses, each a thin module over a pure function of :mod:`mmdet_kd.losses.functional`."""

from .channel_wise_loss import ChannelWiseLoss
from .class_weighted_soft_cross_entropy_loss import ClassWeightedSoftCrossEntropyLoss
from .focal_global_loss import FocalGlobalLoss
from .frame import Frame
from .hint_loss import HintLoss
from .masked_generation_loss import MaskedGenerationLoss
from .pearson_loss import PearsonLoss
from .softened_losses import SoftenedBCELoss, SoftenedKLLoss
from .teacher_bounded_l2_loss import TeacherBoundedL2Loss

__all__ = [
    'ChannelWiseLoss',
    'ClassWeightedSoftCrossEntropyLoss',
    'FocalGlobalLoss',
    'Frame',
    'HintLoss',
    'MaskedGenerationLoss',
    'PearsonLoss',
    'SoftenedBCELoss',
    'SoftenedKLLoss',
    'TeacherBoundedL2Loss',
]
