"""From a distillation to an ordinary MMDetection model."""

from .checkpoint import save_student, student_state_dict
from .plain_config import (
    DATA_HEADS,
    PLAIN_TYPES,
    num_classes_problems,
    plain_student_config,
    types_of_this_package,
    with_num_classes,
)
from .student import export_student

__all__ = [
    'DATA_HEADS',
    'PLAIN_TYPES',
    'export_student',
    'num_classes_problems',
    'plain_student_config',
    'save_student',
    'student_state_dict',
    'types_of_this_package',
    'with_num_classes',
]
