"""Registered losses, each a thin module over a pure function of :mod:`mmdet_kd.losses.functional`."""

from .class_weighted_soft_cross_entropy_loss import ClassWeightedSoftCrossEntropyLoss
from .cwd_loss import CWDLoss
from .dist_loss import DISTLoss
from .fgd_loss import FGDLoss
from .fgfi_loss import FGFILoss
from .fkd_loss import FKDLoss
from .frame import Anchors, Frame
from .hint_loss import HintLoss
from .mgd_loss import MGDLoss
from .pkd_loss import PKDLoss
from .softened_losses import SoftenedBCELoss, SoftenedKLLoss
from .teacher_bounded_l2_loss import TeacherBoundedL2Loss

__all__ = [
    'Anchors',
    'CWDLoss',
    'ClassWeightedSoftCrossEntropyLoss',
    'DISTLoss',
    'FGDLoss',
    'FGFILoss',
    'FKDLoss',
    'Frame',
    'HintLoss',
    'MGDLoss',
    'PKDLoss',
    'SoftenedBCELoss',
    'SoftenedKLLoss',
    'TeacherBoundedL2Loss',
]
