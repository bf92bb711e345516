"""A classifier teaches a head the classes."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..knowledge import ClassifierKnowledge, Step, StudentKnowledge
from ..teachers import ClassifierTeacher
from .base import BaseDistiller, has_weight
from .pair import ModelPair
from .positives import positives_of
from .response import mean_over_ranks


@MODELS.register_module()
class ClassifierClsDistiller(BaseDistiller):
    r"""Brings the class scores of a head's positive RoIs or priors near a classifier's.

    .. math:: L_{kd-cls} = \lambda_{kc} \frac{1}{K} \sum_k L(z_t^{(k)}, z_s^{(k)})

    The classifier looks at the true box that is assigned to each, never at the RoI or the prior. It knows no
    background, which in a softmax head gets no share of its distribution. Serves RoI heads, each stage of a cascade
    with the weight that its own losses have, and dense heads.

    Args:
        pair: the two sides; the detector fills it in.
        loss_cls: config of a loss that is called with (student logits, teacher logits, avg_factor=K), for scores as the
            head has them: of a softmax or of sigmoids. ``loss_weight`` is lambda, 0.4 in the paper.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the head has no positives that are known, or scores otherwise than the loss compares.

    Source: Guo, Alvarez and Salzmann, NeurIPS 2021 (DICOD), section 3.1.
    """

    learns_from = ClassifierTeacher
    compares_classes = True
    parts = ('cls',)

    def __init__(self, pair: ModelPair, loss_cls: dict, weight: float = 1.0) -> None:
        super().__init__(weight)
        self._positives = positives_of(pair.student, type(self).__name__)
        raise_if_any(self._positives.problems)
        self.kinds = self._positives.kinds
        self.problems += self._class_problems(pair)
        logits = self._teacher_rows(torch.zeros(2, self._positives.num_classes))
        self.loss_cls = self._build_loss(
            'loss_cls',
            loss_cls,
            self._positives.score_kind,
            lambda loss: loss(torch.zeros_like(logits), logits, avg_factor=1.0),
        )
        raise_if_any(self.problems)

    @property
    def is_active(self) -> bool:
        """Whether the loss counts at present."""
        return super().is_active and has_weight(self.loss_cls)

    def forward(self, student: StudentKnowledge, teacher: ClassifierKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the class scores of this step; returns 'cls', of a cascade summed."""
        losses = []
        for positives in self._positives(student, step.truth):
            wanted = self._teacher_rows(teacher.logits[positives.truth])
            avg_factor = mean_over_ranks(len(wanted), wanted.device)
            losses.append(positives.weight * self.loss_cls(positives.logits, wanted, avg_factor=avg_factor))
        return {'cls': sum(losses)}

    def _teacher_rows(self, logits: Tensor) -> Tensor:
        """The classifier's logits (K, C) as those of the student's head, where a softmax has a background."""
        return logits if self._positives.use_sigmoid else F.pad(logits, (0, 1), value=float('-inf'))

    def _class_problems(self, pair: ModelPair) -> list[str]:
        student, teacher = self._positives.num_classes, pair.teacher.detector.num_classes
        if student == teacher:
            return []
        return [
            f'{type(self).__name__}: the student knows {student} classes, the classifier {teacher}: train the '
            "classifier on the student's set, or set num_classes of the student"
        ]
