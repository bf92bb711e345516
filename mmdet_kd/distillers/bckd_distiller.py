"""Distilling class scores as binary decisions, and boxes by their overlap (BCKD)."""

from typing import Literal, get_args

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..heads import DensePredictions
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from ..losses.checks import check_range
from ..losses.functional import disagreement_bce
from .base import BaseDistiller
from .pair import ModelPair
from .response import mean_over_ranks
from .same_priors import background_problems, class_probabilities, giou_distances, heads_of_pair

Levels = Literal['with positives', 'all']


@MODELS.register_module()
class BCKDDistiller(BaseDistiller):
    r"""Compares the class scores and the boxes of all priors, most where the two sides disagree (BCKD).

    * 'cls': :func:`~mmdet_kd.losses.functional.disagreement_bce`, the sum over all priors.
    * 'bbox': one minus the generalised IoU of the decoded boxes, weighted by the largest difference of a class's
      probabilities, which is constant; the sum over the priors.

    Both are divided by the number of the student's positive priors, the mean over the ranks. A prior that the student's
    head leaves out counts nothing.

    Args:
        pair: the two sides; the detector fills it in.
        cls_weight: >= 0.
        bbox_weight: >= 0.
        beta: of the weight of the class scores, >= 0.
        levels: whose boxes are compared: 'with positives', those levels in which the rank's batch has a positive prior,
            as in the authors' code, on which their numbers rest; or 'all'.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the heads differ in priors or classes, score by a softmax, one does not say what is
            compared, or has class scores that mean nothing on the background (YOLOX).

    Source: Yang et al., ICCV 2023 (BCKD), equations 4 to 6.
    """

    kinds = ('dense', 'dense.labels')
    compares_classes = True
    parts = ('cls', 'bbox')

    def __init__(
        self,
        pair: ModelPair,
        cls_weight: float = 1.0,
        bbox_weight: float = 4.0,
        beta: float = 1.0,
        levels: Levels = 'with positives',
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        if levels not in get_args(Levels):
            raise_if_any([f'BCKDDistiller: levels must be one of {get_args(Levels)}, not {levels!r}'])
        self.cls_weight = check_range('cls_weight', cls_weight, at_least=0)
        self.bbox_weight = check_range('bbox_weight', bbox_weight, at_least=0)
        self.beta = check_range('beta', beta, at_least=0)
        self.levels = levels
        student, _, problems = heads_of_pair('BCKDDistiller', pair, ('scores', 'priors', 'boxes'), ('labels',))
        cure = 'take a DenseHeadDistiller with objectness_weight'
        raise_if_any(problems + background_problems('BCKDDistiller', pair, cure))
        if not student.use_sigmoid:
            raise_if_any(['BCKDDistiller: it compares sigmoids, and both heads score by a softmax: leave it out'])

    @property
    def is_active(self) -> bool:
        """Whether a part counts at present."""
        return super().is_active and (self.cls_weight > 0 or self.bbox_weight > 0)

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the two sides of this step; returns 'cls' and 'bbox'."""
        del step
        predicted_s = student.dense
        predicted_t, known = teacher.dense.on_grids(predicted_s.sizes)
        labels, counts = student.dense_assignment
        if known is not None:
            counts = counts * known
        positive = predicted_s.view.is_positive(labels)
        number = mean_over_ranks(positive.sum(), positive.device)
        logits = (each.scores.flatten(0, 1).float() for each in (predicted_s, predicted_t))
        rows = disagreement_bce(*logits, beta=self.beta)
        probabilities_s, probabilities_t = (class_probabilities(each) for each in (predicted_s, predicted_t))
        apart = (probabilities_s - probabilities_t).abs().amax(dim=-1) * counts
        if self.levels == 'with positives':
            apart = apart * _in_levels_with(positive, predicted_s)
        distances = giou_distances(predicted_s, predicted_t)
        return {
            'cls': self.cls_weight * (rows * counts.flatten()).sum() / number,
            'bbox': self.bbox_weight * (distances * apart).sum() / number,
        }


def _in_levels_with(positive: Tensor, predicted: DensePredictions) -> Tensor:
    """Of each prior (M,), whether its level has a positive one in any picture."""
    levels = positive.split(predicted.counts, dim=1)
    return torch.cat([level.any().expand(level.shape[1]) for level in levels])
