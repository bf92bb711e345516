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
from .pair import Model, ModelPair
from .response import ResponseDistiller
from .roi_distiller import RoIDistiller
from .rpn_distiller import RPNDistiller
from .shares import Claim, Shares

__all__ = [
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
    'Model',
    'ModelPair',
    'RPNDistiller',
    'ResponseDistiller',
    'RoIDistiller',
    'Shares',
]
