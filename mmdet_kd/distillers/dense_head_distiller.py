"""Distilling the predictions of a dense head."""

from typing import Literal, get_args

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import raise_if_any
from ..heads import DensePredictions, DenseView, rows_of
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from ..losses.checks import check_range
from ..losses.compares import compared_by
from ..losses.functional import disagreement_bce
from .base import BaseDistiller, has_weight
from .pair import ModelPair
from .response import mean_over_ranks
from .same_priors import background_problems, class_probabilities, heads_of_pair, same_deltas

Priors = Literal['positive', 'all']


@MODELS.register_module()
class DenseHeadDistiller(BaseDistiller):
    """Brings the predictions of a one-stage detector near the teacher's, prior by prior.

    Both sides have the same priors (anchors, or points), so the student's index the teacher's predictions. Which are
    positive is what the student's own loss found in this step, also where it asks the student's predictions (YOLOX,
    RTMDet, TOOD, ...): the teacher's assign nothing. The student's own losses stay as they are.

    * 'cls': the class scores. A loss that relates scores to each other, as DISTLoss does, is given those of each level
      in turn, and what it says is added up: of sigmoids a row a cell, with the scores of all priors of the cell; of a
      softmax a row a prior.
    * 'obj': the objectness of all priors, of heads that have one (YOLOX, YOLOv3): the binary cross entropy towards the
      teacher's, each weighted by how far the two are apart.
    * 'bbox': the boxes, each weighted by the teacher's largest class score; of heads with an objectness, times that.
      An IoU loss compares decoded boxes. Another compares four numbers of one encoding: the deltas where both sides
      have the same box coder; otherwise the sides, in strides.

    The sum over the priors is divided by the number of positive ones, as the heads divide their own losses, the mean
    over the ranks.

    Args:
        pair: the two sides; the detector fills it in.
        loss_cls: config of a loss that is called with (student logits, teacher logits, weight, avg_factor), for scores
            as the heads have them: of a softmax or of sigmoids. None leaves the class scores out.
        loss_bbox: config of one of mmdet's IoU losses, L1Loss or SmoothL1Loss. None leaves the boxes out.
        objectness_weight: >= 0, of the objectness, beside either of the others; None leaves it out.
        priors: 'positive', those that the student's head takes for an object; or 'all'. It does not concern the
            objectness.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the heads differ in priors, classes or in how they score, or one side has none; an objectness
            is asked for that there is not, or class scores where they mean nothing.
    """

    kinds = ('dense', 'dense.labels')
    compares_classes = True

    def __init__(
        self,
        pair: ModelPair,
        loss_cls: dict | None = None,
        loss_bbox: dict | None = None,
        objectness_weight: float | None = None,
        priors: Priors = 'positive',
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        raise_if_any(_option_problems(loss_cls, loss_bbox, priors))
        given = dict(cls=loss_cls, obj=objectness_weight, bbox=loss_bbox)
        self.parts = tuple(part for part, asked in given.items() if asked is not None)
        also = dict(quality=objectness_weight, boxes=loss_bbox)
        asked = ('scores', 'priors', *(question for question, by in also.items() if by is not None))
        student, teacher, problems = heads_of_pair('DenseHeadDistiller', pair, asked, ('labels',))
        self.problems += problems
        self.priors = priors
        self.objectness_weight = None
        if objectness_weight is not None:
            self.objectness_weight = check_range('objectness_weight', objectness_weight, at_least=0)
            self.problems += [
                f"DenseHeadDistiller: the {side}'s {view.name} has no objectness: leave objectness_weight out"
                for side, view in (('student', student), ('teacher', teacher))
                if not view.conditional
            ]
        if priors == 'all' and loss_cls is not None:
            self.problems += background_problems('DenseHeadDistiller', pair, "write priors='positive'")
        self.loss_cls, self.loss_bbox = None, None
        if loss_cls is not None:
            self._build_cls(loss_cls, student)
        if loss_bbox is not None:
            self._build_bbox(loss_bbox, student, teacher)
        raise_if_any(self.problems)

    @property
    def is_active(self) -> bool:
        """Whether a loss counts at present."""
        of_losses = any(has_weight(loss) for loss in (self.loss_cls, self.loss_bbox))
        return super().is_active and (of_losses or bool(self.objectness_weight))

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the predictions of this step; returns 'cls', 'obj' and 'bbox', as configured."""
        del step
        labels = student.dense_assignment.labels
        predicted_s = student.dense
        positive = predicted_s.view.is_positive(labels).float()
        predicted_t, valid = teacher.dense.on_grids(predicted_s.sizes)
        weight = torch.ones_like(positive) if self.priors == 'all' else positive
        if valid is not None:
            weight = weight * valid
        avg_factor = mean_over_ranks(positive.sum(), labels.device)
        losses = {}
        if self.loss_cls is not None and self._relates:
            losses['cls'] = self._relate_cells(predicted_s, predicted_t, weight)
        elif self.loss_cls is not None:
            logits = [predicted.scores.flatten(0, 1) for predicted in (predicted_s, predicted_t)]
            losses['cls'] = self.loss_cls(*logits, weight.flatten(), avg_factor=avg_factor)
        if self.objectness_weight is not None:
            losses['obj'] = self.objectness_weight * _objectness_loss(predicted_s, predicted_t, valid) / avg_factor
        if self.loss_bbox is not None:
            weight = weight * class_probabilities(predicted_t).amax(dim=-1)
            losses['bbox'] = self._compare_boxes(predicted_s, predicted_t, weight) / avg_factor
        return losses

    def _relate_cells(self, predicted_s: DensePredictions, predicted_t: DensePredictions, weight: Tensor) -> Tensor:
        total = weight.new_zeros(())
        weights = weight.split(predicted_s.counts, dim=1)
        for level_s, level_t, of_priors in zip(predicted_s.score_maps, predicted_t.score_maps, weights, strict=True):
            channels = level_s.shape[1] if predicted_s.view.use_sigmoid else predicted_s.view.score_channels
            rows_s, rows_t = (rows_of([level], channels) for level in (level_s, level_t))
            of_rows = of_priors.unflatten(1, (rows_s.shape[1], -1))[..., 0]
            total = total + self.loss_cls(rows_s.flatten(0, 1), rows_t.flatten(0, 1), of_rows.flatten())
        return total

    def _compare_boxes(self, predicted_s: DensePredictions, predicted_t: DensePredictions, weight: Tensor) -> Tensor:
        boxes_s, boxes_t = (self._boxes(predicted) for predicted in (predicted_s, predicted_t))
        # Weighted here: given weights, mmdet's IoU losses ask the host whether any of them is above 0.
        distances = self.loss_bbox(boxes_s, boxes_t.detach(), reduction_override='none')
        return (distances.view(weight.numel(), -1).sum(dim=1) * weight.flatten()).sum()

    def _boxes(self, predicted: DensePredictions) -> Tensor:
        """Four numbers for the box of each prior, (N * M, 4), of one unit for both sides."""
        if self._decoded:
            return predicted.boxes.flatten(0, 1)
        if self._same_deltas:
            return predicted.regressed.flatten(0, 1).float()
        return (predicted.boxes / predicted.priors.strides).flatten(0, 1)

    def _build_cls(self, cfg: dict, student: DenseView) -> None:
        def columns(loss: nn.Module) -> int:
            of_cells = getattr(loss, 'relates_scores', False) and student.use_sigmoid
            return min(student.score_map_channels) if of_cells else student.score_channels

        def call(loss: nn.Module) -> Tensor:
            logits = torch.zeros(1, columns(loss))
            return loss(logits, logits, torch.ones(1), avg_factor=1.0)

        self.loss_cls = self._build_loss('loss_cls', cfg, student.score_kind, call)
        self._relates = getattr(self.loss_cls, 'relates_scores', False)
        if self._relates and self.priors != 'all':
            self.problems.append(
                f"DenseHeadDistiller: {type(self.loss_cls).__name__} relates all cells of a map: write priors='all'"
            )

    def _build_bbox(self, cfg: dict, student: DenseView, teacher: DenseView) -> None:
        self._decoded = compared_by(MODELS.build(cfg)) == 'decoded boxes'
        self._same_deltas = same_deltas(student, teacher)
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
        self.loss_bbox = self._build_loss(
            'loss_bbox',
            cfg,
            'decoded boxes' if self._decoded else 'maps',
            lambda loss: loss(boxes, boxes, reduction_override='none').sum(),
        )


def _objectness_loss(predicted_s: DensePredictions, predicted_t: DensePredictions, valid: Tensor | None) -> Tensor:
    """The sum over all priors that both have."""
    logits = (each.quality.flatten()[:, None].float() for each in (predicted_s, predicted_t))
    rows = disagreement_bce(*logits)
    return rows.sum() if valid is None else (rows * valid.flatten()).sum()


def _option_problems(loss_cls: dict | None, loss_bbox: dict | None, priors: str) -> list[str]:
    problems = []
    if loss_cls is None and loss_bbox is None:
        problems.append('DenseHeadDistiller: neither loss_cls nor loss_bbox is given: nothing would be distilled')
    if priors not in get_args(Priors):
        problems.append(f'DenseHeadDistiller: priors must be one of {get_args(Priors)}, not {priors!r}')
    return problems
