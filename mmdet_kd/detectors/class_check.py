"""Whether student, teacher and data know the same classes."""

import warnings
from collections.abc import Sequence

from ..errors import DistillationError
from ..teachers import BaseTeacher, DetectorTeacher, describe_difference, same_classes


def class_problems(
    student: Sequence[str] | None, num_classes: int, teacher: BaseTeacher, compares_classes: bool
) -> list[str]:
    """What about the classes forbids a training; a teacher that finds them by name is told them.

    Args:
        student: names of the data's classes, in the order of the labels; None outside a training.
        num_classes: of the student's box head.
        teacher: with its weights.
        compares_classes: whether any distiller compares class scores; if none does, a difference is a warning.
    """
    if student is None:
        return [_NO_NAMES] if teacher.classes_by_name else []
    if len(student) != num_classes:
        return [
            f"the data has {len(student)} classes ({', '.join(student)}), the student's box head {num_classes}: "
            'set num_classes of its heads, or metainfo=dict(classes=...) of the data'
        ]
    if teacher.classes_by_name:
        return _find_by_name(student, teacher)
    if teacher.classes is None:
        warnings.warn(
            'Neither the checkpoint nor the config of the teacher names its classes: only their number was '
            "compared with the student's.",
            stacklevel=2,
        )
        return []
    if same_classes(student, teacher.classes):
        return []
    difference = f"the teacher's classes are not the student's: {describe_difference(student, teacher.classes)}"
    if compares_classes:
        cures = (
            'Take a teacher trained on this set; or give the data '
            f'metainfo=dict(classes={teacher.classes}), in this order'
        )
        if isinstance(teacher, DetectorTeacher):
            cures += "; or, if the teacher knows all of the student's, write teacher=dict(classes_by_name=True, ...)"
        return [f'{difference}. {cures}']
    warnings.warn(f'{difference}. No distiller compares classes, so the training goes on.', stacklevel=2)
    return []


_NO_NAMES = (
    'teacher.classes_by_name: the names of the classes are not known here. A Runner knows them, so train with '
    'tools/train.py or mim train, or leave the option out'
)


def _find_by_name(student: Sequence[str], teacher: DetectorTeacher) -> list[str]:
    try:
        teacher.map_classes(student)
    except DistillationError as error:
        return error.problems
    return []
