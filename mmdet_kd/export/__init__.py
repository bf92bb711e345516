"""From a distillation to an ordinary MMDetection model."""

from .checkpoint import DISTILLERS_PREFIX, save_student, student_state_dict
from .misfits import COUNTER, Misfits, load_with_misfits, no_weights, without
from .plain_config import (
    DATA_HEADS,
    DECOMPOSED,
    PLAIN_TYPES,
    num_classes_problems,
    plain_student_config,
    types_of_this_package,
    unwritable_numbers,
    with_num_classes,
)
from .student import export_student, require_class_order, require_fit, require_start

__all__ = [
    'COUNTER',
    'DATA_HEADS',
    'DECOMPOSED',
    'DISTILLERS_PREFIX',
    'PLAIN_TYPES',
    'Misfits',
    'export_student',
    'load_with_misfits',
    'no_weights',
    'num_classes_problems',
    'plain_student_config',
    'require_class_order',
    'require_fit',
    'require_start',
    'save_student',
    'student_state_dict',
    'types_of_this_package',
    'unwritable_numbers',
    'with_num_classes',
    'without',
]
