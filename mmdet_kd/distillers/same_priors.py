"""What forbids comparing two heads prior by prior."""

import torch

from ..heads import DenseView, same_places
from .pair import ModelPair


def pair_problems(who: str, pair: ModelPair, student: DenseView, teacher: DenseView) -> list[str]:
    """What forbids comparing the class scores of two heads, each with its cure.

    Args:
        who: compares; for messages.
        pair: the two sides.
        student: the view of the student's head, which answers.
        teacher: of the teacher's.
    """
    problems = []
    if pair.student_scale is not None:
        problems.append(f'{who}: it compares priors of one grid: leave student_scale or it out')
    if not same_places(student, teacher):
        problems.append(
            f"{who}: the priors of the student's {_describe(student)} are not those of the teacher's "
            f'{_describe(teacher)}: give both the same levels, and the same anchors or points'
        )
    if student.num_classes != teacher.num_classes and not (
        pair.classes_by_name and student.num_classes < teacher.num_classes
    ):
        problems.append(
            f'{who}: the student knows {student.num_classes} classes, the teacher {teacher.num_classes}: '
            "take a teacher that was trained on the student's classes, write teacher=dict(classes_by_name=True, ...) "
            'if it knows all of these and more, or set num_classes of the student'
        )
    if student.score_kind != teacher.score_kind:
        problems.append(
            f'{who}: the student gives {student.score_kind}, the teacher {teacher.score_kind}: take heads that score '
            'alike'
        )
    return problems


def _describe(view: DenseView) -> str:
    priors = view.priors([(1, 1)] * len(view.strides), torch.device('cpu'))
    kind = 'anchors' if priors.places.shape[1] == 4 else 'points'
    strides = priors.strides.flatten().tolist()
    counts = ', '.join(f'{strides.count(stride)} at stride {stride:g}' for stride in sorted(set(strides)))
    first = ', '.join(f'{number:g}' for number in priors.places[0].tolist())
    return f'{type(view.head).__name__} ({kind}: {counts} a cell, the first at {first})'
