"""Two heads that are compared prior by prior."""

import logging
from collections.abc import Sequence

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.logging import print_log
from torch import Tensor

from ..errors import raise_if_any
from ..heads import DensePredictions, DenseView, same_places
from .boxes import same_coder
from .levels import stride_problems
from .pair import ModelPair

_LEAST_IOU = 1e-6


def heads_of_pair(
    who: str, pair: ModelPair, asked: Sequence[str], of_student: Sequence[str], of_teacher: Sequence[str] = ()
) -> tuple[DenseView, DenseView, list[str]]:
    """The views of two dense heads, and what forbids comparing them prior by prior.

    Args:
        who: compares; for messages.
        pair: the two sides.
        asked: questions that both heads must answer.
        of_student: those that the student's must answer besides.
        of_teacher: those that the teacher's must.

    Raises:
        DistillationError: a head does not answer.
    """
    student, teacher = pair.student.dense, pair.teacher.dense
    raise_if_any(
        student.problems((*asked, *of_student), who, 'student')
        + teacher.problems((*asked, *of_teacher), who, 'teacher')
    )
    return student, teacher, pair_problems(who, pair, student, teacher)


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
    else:
        problems += stride_problems(who, pair.student, student) + stride_problems(who, pair.teacher, teacher)
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
    if not problems:
        _warn_of_unlike_ranks(who, student, teacher)
    return problems


def _warn_of_unlike_ranks(who: str, student: DenseView, teacher: DenseView) -> None:
    """Say where one head multiplies its class scores by a quality when it predicts, and the other does not."""
    views = {'student': student, 'teacher': teacher}
    with_quality, without = (
        [f"the {side}'s {view.name}" for side, view in views.items() if (view.why_not('quality') is None) is has]
        for has in (True, False)
    )
    if with_quality and without:
        message = (
            f'{who}: {with_quality[0]} multiplies class scores by the quality of a box when it predicts, '
            f'{without[0]} does not. Class scores that suit one may rank the boxes of the other worse: take two heads '
            'that do the same, or compare with the student alone'
        )
        print_log(message, logger='current', level=logging.WARNING)


def _describe(view: DenseView) -> str:
    priors = view.priors([(1, 1)] * len(view.strides), torch.device('cpu'))
    kind = 'anchors' if priors.places.shape[1] == 4 else 'points'
    strides = priors.strides.flatten().tolist()
    counts = ', '.join(f'{strides.count(stride)} at stride {stride:g}' for stride in sorted(set(strides)))
    first = ', '.join(f'{number:g}' for number in priors.places[0].tolist())
    return f'{type(view.head).__name__} ({kind}: {counts} a cell, the first at {first})'


def class_probabilities(predicted: DensePredictions) -> Tensor:
    """Of each prior for each class, (N, M, C), in single precision; constant. A background is left out."""
    return predicted.class_probabilities.detach()


def background_problems(who: str, pair: ModelPair, cure: str) -> list[str]:
    """What forbids comparing the class scores of dense heads on the background.

    Args:
        who: compares; for messages.
        pair: the two sides, whose heads answer.
        cure: for messages.
    """
    return [
        f"{who}: class scores of the {side.name}'s {side.dense.name} say which object is there if there is one; where "
        f'there is none they mean nothing: {cure}'
        for side in (pair.student, pair.teacher)
        if side.dense.conditional
    ]


def same_deltas(student: DenseView, teacher: DenseView) -> bool:
    """Whether both heads regress deltas of one encoding."""
    return student.coder is not None and same_coder(student.coder, teacher.coder)


def giou_distances(predicted_s: DensePredictions, predicted_t: DensePredictions) -> Tensor:
    """One minus the generalised IoU of the boxes of both sides, (N, M); the teacher's are constant."""
    with torch.autocast(predicted_s.boxes.device.type, enabled=False):
        return 1 - bbox_overlaps(predicted_s.boxes, predicted_t.boxes.detach(), mode='giou', is_aligned=True)


def log_iou_distances(predicted_s: DensePredictions, predicted_t: DensePredictions) -> Tensor:
    """Minus the logarithm of the IoU, of at least 1e-6, of both sides' boxes, (N, M); the teacher's are constant."""
    with torch.autocast(predicted_s.boxes.device.type, enabled=False):
        overlaps = bbox_overlaps(predicted_s.boxes, predicted_t.boxes.detach(), is_aligned=True)
        return -overlaps.clamp(min=_LEAST_IOU).log()
