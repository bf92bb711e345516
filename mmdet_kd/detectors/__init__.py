"""Detectors that learn from a teacher: what ``type=`` names in a config."""

from .any_detector import KnowledgeDistillationDetector
from .distillation_mixin import KnowledgeDistillationMixin
from .one_stage import KnowledgeDistillationOneStageDetector
from .student_class import type_for, why_no_student
from .two_stage import KnowledgeDistillationTwoStageDetector

__all__ = [
    'KnowledgeDistillationDetector',
    'KnowledgeDistillationMixin',
    'KnowledgeDistillationOneStageDetector',
    'KnowledgeDistillationTwoStageDetector',
    'type_for',
    'why_no_student',
]
