"""Whether the training set, the student and its teachers know the same classes."""

import logging
from collections.abc import Collection, Mapping, Sequence

from mmengine.logging import print_log
from torch import nn

from ..class_names import describe_difference, same_classes
from ..errors import DistillationError
from ..knowledge import head_class_problems, head_classes
from ..teachers import BaseTeacher, DetectorTeacher


def training_class_problems(
    names: Sequence[str] | None, student: nn.Module, teachers: Mapping[str, BaseTeacher], comparing: Collection[str]
) -> list[str]:
    """What about the classes forbids a training; a teacher that finds them by name is told them.

    Args:
        names: of the training set's classes, in the order of the labels; None if nobody told them.
        student: the detector that trains.
        teachers: name -> teacher, with its weights.
        comparing: names of the teachers whose class scores a distiller compares. Those count too that find the
            student's classes by name, and those whose heads the student starts with. Another teacher's classes may
            differ, with a warning.
    """
    comparing = {
        *comparing,
        *(name for name, teacher in teachers.items() if teacher.classes_by_name or teacher.inherit),
    }
    if names is None:
        return [_NOT_TOLD] if comparing else []
    problems = head_class_problems(
        'the training set has',
        names,
        head_classes(student),
        "set num_classes of the student's heads, or train_dataloader.dataset.metainfo=dict(classes=...)",
    )
    if problems:
        return problems
    for name, teacher in teachers.items():
        prefix = f'teachers.{name}: ' if len(teachers) > 1 else ''
        problems += [prefix + problem for problem in _teacher_problems(names, teacher, name in comparing)]
    return problems


_NOT_TOLD = (
    'a distiller compares class scores, or a teacher has classes_by_name or inherit, and nobody told the detector the '
    "names of the training set's classes. To train, use tools/train.py of mmdet_kd, or add "
    "custom_hooks=[dict(type='TrainingClassesHook')] to the config, whose training set must name its classes "
    '(metainfo=dict(classes=...)). In a script, call detector.set_classes(names) before detector.init_weights()'
)


def _teacher_problems(names: Sequence[str], teacher: BaseTeacher, compares_classes: bool) -> list[str]:
    if teacher.classes_by_name:
        return _map_problems(names, teacher)
    if teacher.classes is None:
        if compares_classes:
            _warn(
                'Neither the checkpoint nor the config of the teacher names its classes: only their number was '
                "compared with the student's."
            )
        return []
    problems = teacher.class_problems() if compares_classes else []
    if problems or same_classes(names, teacher.classes):
        return problems
    difference = f"the teacher's classes are not the student's: {describe_difference(names, teacher.classes)}"
    if compares_classes:
        cures = 'Take a teacher trained on this set'
        if teacher.inherit:
            cures = f'Leave teacher.inherit out, since its head would give each class the weights of another. {cures}'
        elif isinstance(teacher, DetectorTeacher):
            cures = f"If the teacher knows all of the student's, write teacher=dict(classes_by_name=True, ...). {cures}"
        return [
            f'{difference}. {cures}, or list the classes of the data in the order {teacher.classes}: in '
            "metainfo=dict(classes=...), and in the categories of annotation files in COCO's format, whose order counts"
        ]
    _warn(f'{difference}. No distiller compares classes, so the training goes on.')
    return []


def _warn(message: str) -> None:
    """Say something in the log, where it stands under mmdet's own tools too."""
    print_log(message, logger='current', level=logging.WARNING)


def _map_problems(names: Sequence[str], teacher: DetectorTeacher) -> list[str]:
    try:
        teacher.map_classes(names)
    except DistillationError as error:
        return error.problems
    return []
