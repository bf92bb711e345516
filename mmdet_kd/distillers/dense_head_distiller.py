"""Distilling the class scores of a dense head."""

from typing import Literal, get_args

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import raise_if_any
from ..knowledge import StudentKnowledge, TeacherKnowledge
from .base import BaseDistiller, has_weight, scores_of
from .pair import Model, ModelPair
from .prior_maps import fit, flatten_levels, same_grids, which_fit
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

    kinds = ('dense',)
    compares_classes = True
    parts = ('cls',)

    def __init__(self, pair: ModelPair, loss_cls: dict, priors: Priors = 'positive', weight: float = 1.0) -> None:
        super().__init__(weight)
        if priors not in get_args(Priors):
            raise_if_any([f'DenseHeadDistiller: priors must be one of {get_args(Priors)}, not {priors!r}'])
        raise_if_any(_head_problems(pair.student) + _head_problems(pair.teacher))
        self.problems += _pair_problems(pair)
        head = pair.student.detector.bbox_head
        self.num_classes, self._channels, self.priors = head.num_classes, head.cls_out_channels, priors
        logits = torch.zeros(1, self._channels)
        self.loss_cls = self._build_loss(
            'loss_cls',
            loss_cls,
            scores_of(head.use_sigmoid_cls),
            lambda loss: loss(logits, logits, torch.ones(1), avg_factor=1.0),
        )
        raise_if_any(self.problems)

    @property
    def is_active(self) -> bool:
        """Whether the loss counts at present."""
        return super().is_active and has_weight(self.loss_cls)

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge) -> dict[str, Tensor]:
        """Compare the class scores of this step; returns 'cls'."""
        scores_s, scores_t = student.dense, teacher.dense
        labels = student.dense_targets.labels
        positive = ((labels >= 0) & (labels < self.num_classes)).float()
        valid = torch.ones_like(positive)
        if not same_grids(scores_s, scores_t):
            scores_t, valid = fit(scores_t, scores_s), which_fit(scores_t, scores_s, self._channels)
        weight = valid if self.priors == 'all' else valid * positive
        logits = [flatten_levels(scores, self._channels) for scores in (scores_s, scores_t)]
        avg_factor = mean_over_ranks(positive.sum(), labels.device)
        return {'cls': self.loss_cls(*logits, weight.flatten(), avg_factor=avg_factor)}


def _head_problems(side: Model) -> list[str]:
    head = getattr(side.detector, 'bbox_head', None)
    needed = ('prior_generator', 'num_classes', 'cls_out_channels', 'use_sigmoid_cls', 'get_targets')
    if head is not None and all(hasattr(head, name) for name in needed):
        return []
    what = 'has no bbox_head' if head is None else f'has a {type(head).__name__}, which does not score a grid of priors'
    return [
        f'DenseHeadDistiller: the {side.name} {what}; it works on SSD, RetinaNet, FCOS, GFL, ATSS and their like. '
        'Leave this distiller out otherwise'
    ]


def _pair_problems(pair: ModelPair) -> list[str]:
    student, teacher = (side.detector.bbox_head for side in (pair.student, pair.teacher))
    problems = []
    if pair.student_scale is not None:
        problems.append('DenseHeadDistiller: it compares priors of one grid: leave student_scale or it out')
    if pair.classes_by_name:
        problems.append('DenseHeadDistiller: it does not find classes by name: leave classes_by_name or it out')
    if _grid(student) != _grid(teacher) or not _same_anchors(pair):
        problems.append(
            f"DenseHeadDistiller: the priors of the student's {type(student).__name__} ({_describe(student)}) are not "
            f"the teacher's ({_describe(teacher)}): give both the same levels and anchors"
        )
    if student.num_classes != teacher.num_classes:
        problems.append(
            f'DenseHeadDistiller: the student knows {student.num_classes} classes, the teacher {teacher.num_classes}: '
            "take a teacher that was trained on the student's classes, or set num_classes of the student"
        )
    if bool(student.use_sigmoid_cls) != bool(teacher.use_sigmoid_cls):
        kinds = [scores_of(head.use_sigmoid_cls) for head in (student, teacher)]
        problems.append(
            f'DenseHeadDistiller: the student gives {kinds[0]}, the teacher {kinds[1]}: take heads that score alike'
        )
    return problems


def _grid(head: nn.Module) -> tuple[list, list]:
    generator = head.prior_generator
    return [tuple(stride) for stride in generator.strides], list(generator.num_base_priors)


def _same_anchors(pair: ModelPair) -> bool:
    generators = [side.prior_generator for side in (pair.student, pair.teacher)]
    anchors = [getattr(generator, 'base_anchors', None) for generator in generators]
    if None in anchors:
        return anchors[0] is anchors[1]
    return all(torch.equal(s, t) for s, t in zip(*anchors, strict=True))


def _describe(head: nn.Module) -> str:
    strides, counts = _grid(head)
    return ', '.join(f'{count} at stride {stride[0]}' for stride, count in zip(strides, counts, strict=True))
