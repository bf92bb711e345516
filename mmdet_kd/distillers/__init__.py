"""Registered distillers, one for each kind of knowledge."""

from .base import BaseDistiller
from .bckd_distiller import BCKDDistiller
from .classifier_cls_distiller import ClassifierClsDistiller
from .classifier_loc_distiller import ClassifierLocDistiller
from .crosskd_distiller import CrossKDDistiller
from .dense_head_distiller import DenseHeadDistiller
from .feature_distiller import FeatureDistiller
from .gid_distiller import GIDDistiller
from .ld_distiller import LDDistiller
from .mask_distiller import MaskDistiller
from .pair import Model, ModelPair
from .response import ResponseDistiller
from .roi_distiller import RoIDistiller
from .rpn_distiller import RPNDistiller
from .shares import Claim, Shares
from .stop import STOP_KEYS, Stop, stop_of

__all__ = [
    'STOP_KEYS',
    'BCKDDistiller',
    'BaseDistiller',
    'Claim',
    'ClassifierClsDistiller',
    'ClassifierLocDistiller',
    'CrossKDDistiller',
    'DenseHeadDistiller',
    'FeatureDistiller',
    'GIDDistiller',
    'LDDistiller',
    'MaskDistiller',
    'Model',
    'ModelPair',
    'RPNDistiller',
    'ResponseDistiller',
    'RoIDistiller',
    'Shares',
    'Stop',
    'stop_of',
]
