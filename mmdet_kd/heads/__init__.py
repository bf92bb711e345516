"""What the heads of mmdet say, the same for a student's and a teacher's: one view for each class of heads."""

from . import (  # noqa: F401  (each registers its views)
    adaptive,
    anchors,
    distributions,
    points,
    reppoints,
    rtmdet,
    unanswered,
    yolo,
    yolox,
)
from .base import Call, Calls, HeadView, InPlace, Point, find_view, known_heads, register_view
from .box import BoxHeadView, with_background
from .dense import (
    NO_CENTERNESS,
    NO_TOWERS,
    Assignment,
    DenseMaps,
    DenseView,
    PositivePriors,
    Priors,
    head_of,
    same_places,
)
from .dense_predictions import DensePredictions
from .encoder import EncoderView
from .maps import fit, rows_of, sizes_of, which_fit
from .mask import MaskView, RoIMasks
from .roi import PositiveRoIs, RoIView, box_heads, mask_heads
from .rpn import RPNView
from .structures import RoIOutputs, RoITargets, RPNOutputs, RPNTargets, Truth
from .towers import TowerMaps, Towers, depths_of, towers_question

__all__ = [
    'NO_CENTERNESS',
    'NO_TOWERS',
    'Assignment',
    'BoxHeadView',
    'Call',
    'Calls',
    'DenseMaps',
    'DensePredictions',
    'DenseView',
    'EncoderView',
    'HeadView',
    'InPlace',
    'MaskView',
    'Point',
    'PositivePriors',
    'PositiveRoIs',
    'Priors',
    'RPNOutputs',
    'RPNTargets',
    'RPNView',
    'RoIMasks',
    'RoIOutputs',
    'RoITargets',
    'RoIView',
    'TowerMaps',
    'Towers',
    'Truth',
    'box_heads',
    'depths_of',
    'find_view',
    'fit',
    'head_of',
    'known_heads',
    'mask_heads',
    'register_view',
    'rows_of',
    'same_places',
    'sizes_of',
    'towers_question',
    'which_fit',
    'with_background',
]
