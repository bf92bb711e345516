"""Distilling the class scores of a dense head."""

from typing import Literal, get_args

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..heads import DenseView, same_places
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from .base import BaseDistiller, has_weight
from .pair import ModelPair
from .response import mean_over_ranks

Priors = Literal['positive', 'all']


@MODELS.register_module()
class DenseHeadDistiller(BaseDistiller):
    """Brings the class scores of a one-stage detector near the teacher's, prior by prior.

    Both sides have the same priors (anchors, or points), so the student's index the teacher's scores. The student's own
    losses stay as they are.

    Args:
        pair: the two sides; the detector fills it in.
        loss_cls: config of a loss that is called with (student logits, teacher logits, weight, avg_factor), for scores
            as the heads have them: of a softmax or of sigmoids.
        priors: 'positive', those that the student's head takes for an object; or 'all'. The sum over them is divided by
            the number of positive ones, as the heads divide their own losses.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the heads differ in priors, classes or in how they score, or one side has none.
    """

    kinds = ('dense', 'dense.labels')
    compares_classes = True
    parts = ('cls',)

    def __init__(self, pair: ModelPair, loss_cls: dict, priors: Priors = 'positive', weight: float = 1.0) -> None:
        super().__init__(weight)
        if priors not in get_args(Priors):
            raise_if_any([f'DenseHeadDistiller: priors must be one of {get_args(Priors)}, not {priors!r}'])
        student, teacher = pair.student.dense, pair.teacher.dense
        raise_if_any(
            student.problems(('scores', 'priors', 'labels'), 'DenseHeadDistiller', 'student')
            + teacher.problems(('scores', 'priors'), 'DenseHeadDistiller', 'teacher')
        )
        self.problems += _pair_problems(pair)
        self.num_classes, self.priors = student.num_classes, priors
        logits = torch.zeros(1, student.score_channels)
        self.loss_cls = self._build_loss(
            'loss_cls',
            loss_cls,
            student.score_kind,
            lambda loss: loss(logits, logits, torch.ones(1), avg_factor=1.0),
        )
        raise_if_any(self.problems)

    @property
    def is_active(self) -> bool:
        """Whether the loss counts at present."""
        return super().is_active and has_weight(self.loss_cls)

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the class scores of this step; returns 'cls'."""
        del step
        labels = student.dense_assignment.labels
        positive = ((labels >= 0) & (labels < self.num_classes)).float()
        predicted_t, valid = teacher.dense.on_grids(student.dense.sizes)
        weight = torch.ones_like(positive) if self.priors == 'all' else positive
        if valid is not None:
            weight = weight * valid
        logits = [predicted.scores.flatten(0, 1) for predicted in (student.dense, predicted_t)]
        avg_factor = mean_over_ranks(positive.sum(), labels.device)
        return {'cls': self.loss_cls(*logits, weight.flatten(), avg_factor=avg_factor)}


def _pair_problems(pair: ModelPair) -> list[str]:
    student, teacher = pair.student.dense, pair.teacher.dense
    problems = []
    if pair.student_scale is not None:
        problems.append('DenseHeadDistiller: it compares priors of one grid: leave student_scale or it out')
    if not same_places(student, teacher):
        problems.append(
            f"DenseHeadDistiller: the priors of the student's {_describe(student)} are not those of the teacher's "
            f'{_describe(teacher)}: give both the same levels, and the same anchors or points'
        )
    if student.num_classes != teacher.num_classes and not (
        pair.classes_by_name and student.num_classes < teacher.num_classes
    ):
        problems.append(
            f'DenseHeadDistiller: the student knows {student.num_classes} classes, the teacher {teacher.num_classes}: '
            "take a teacher that was trained on the student's classes, write teacher=dict(classes_by_name=True, ...) "
            'if it knows all of these and more, or set num_classes of the student'
        )
    if student.score_kind != teacher.score_kind:
        problems.append(
            f'DenseHeadDistiller: the student gives {student.score_kind}, the teacher {teacher.score_kind}: take heads '
            'that score alike'
        )
    return problems


def _describe(view: DenseView) -> str:
    priors = view.priors([(1, 1)] * len(view.strides), torch.device('cpu'))
    kind = 'anchors' if priors.places.shape[1] == 4 else 'points'
    strides = priors.strides.flatten().tolist()
    counts = ', '.join(f'{strides.count(stride)} at stride {stride:g}' for stride in sorted(set(strides)))
    first = ', '.join(f'{number:g}' for number in priors.places[0].tolist())
    return f'{type(view.head).__name__} ({kind}: {counts} a cell, the first at {first})'
