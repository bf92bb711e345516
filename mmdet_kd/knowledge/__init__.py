"""What the two sides can be asked for, and how it is had from them."""

from ..heads import box_heads, mask_heads
from ..heads.structures import RoIOutputs, RoITargets, RPNOutputs, RPNTargets, Truth
from .class_map import ClassMap, head_class_problems, head_classes, scored_classes
from .classifier import ClassifierKnowledge
from .parts import AS_IT_COMES, PartForm, maps_for_rois, run_encoder, run_mask_head, run_part, run_roi_head
from .pictures import canvas_problems, needed_padding
from .probe import MapShape, map_shapes, mask_sizes, on_meta
from .recorder import record_calls
from .step import Epochs, Side, Step, epochs, progress
from .student import KINDS, MEMORY, SCORE_MAPS, StudentKnowledge, observe_student, towers_kind, views_of
from .teacher import TeacherKnowledge

__all__ = [
    'AS_IT_COMES',
    'KINDS',
    'MEMORY',
    'SCORE_MAPS',
    'ClassMap',
    'ClassifierKnowledge',
    'Epochs',
    'MapShape',
    'PartForm',
    'RPNOutputs',
    'RPNTargets',
    'RoIOutputs',
    'RoITargets',
    'Side',
    'Step',
    'StudentKnowledge',
    'TeacherKnowledge',
    'Truth',
    'box_heads',
    'canvas_problems',
    'epochs',
    'head_class_problems',
    'head_classes',
    'map_shapes',
    'maps_for_rois',
    'mask_heads',
    'mask_sizes',
    'needed_padding',
    'observe_student',
    'on_meta',
    'progress',
    'record_calls',
    'run_encoder',
    'run_mask_head',
    'run_part',
    'run_roi_head',
    'scored_classes',
    'towers_kind',
    'views_of',
]
