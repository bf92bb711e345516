"""What the two sides can be asked for, and how it is had from them."""

from ..heads import box_heads
from ..heads.structures import RoIOutputs, RoITargets, RPNOutputs, RPNTargets, Truth
from .class_map import ClassMap, head_class_problems, head_classes
from .classifier import ClassifierKnowledge
from .parts import AS_IT_COMES, PartForm, maps_for_rois, run_encoder, run_part, run_roi_head
from .pictures import canvas_problems, needed_padding
from .probe import MapShape, map_shapes, on_meta
from .recorder import record_calls
from .step import Side, Step, progress
from .student import KINDS, MEMORY, SCORE_MAPS, StudentKnowledge, observe_student, towers_kind, views_of
from .teacher import TeacherKnowledge

__all__ = [
    'AS_IT_COMES',
    'KINDS',
    'MEMORY',
    'SCORE_MAPS',
    'ClassMap',
    'ClassifierKnowledge',
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
    'head_class_problems',
    'head_classes',
    'map_shapes',
    'maps_for_rois',
    'needed_padding',
    'observe_student',
    'on_meta',
    'progress',
    'record_calls',
    'run_encoder',
    'run_part',
    'run_roi_head',
    'towers_kind',
    'views_of',
]
