"""Distilling the class scores of a dense head."""

from typing import Literal, get_args

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from .base import BaseDistiller, has_weight
from .pair import ModelPair
from .response import mean_over_ranks
from .same_priors import pair_problems

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
        self.problems += pair_problems('DenseHeadDistiller', pair, student, teacher)
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
