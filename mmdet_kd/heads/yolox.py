"""YOLOX."""

from collections.abc import Collection, Mapping
from typing import ClassVar

import torch
from mmdet.models.dense_heads import YOLOXHead
from mmdet.models.task_modules.samplers import SamplingResult
from torch import Tensor, nn

from .base import Calls, Point, register_view
from .dense import NO_CENTERNESS, NO_TOWERS, ON_POINTS, Assignment, DenseView, PositivePriors, Priors
from .dense_targets import in_batch
from .structures import Truth


@register_view(YOLOXHead)
class YOLOXView(DenseView):
    """It regresses the centre of a box, and the logarithms of its width and height, in strides.

    It has no ``get_targets``: each picture is assigned on its own. The quality is an objectness. Class scores are
    trained on the positive priors alone.

    Source: ``YOLOXHead._bbox_decode`` and ``YOLOXHead._get_targets_single`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **ON_POINTS,
        **NO_TOWERS,
        **NO_CENTERNESS,
        'distributions': 'it regresses numbers',
        'assign': 'it assigns priors by what it predicts for them',
    }
    relies_on = ('_bbox_decode',)
    conditional = True

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        if any(width != height for width, height in self.strides):
            self._why_not['boxes'] = 'its cells are not square'

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        centres = priors.places + regressed[:, :2] * priors.strides
        half = regressed[:, 2:].exp() * priors.strides / 2
        return torch.cat([centres - half, centres + half], dim=1)

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        points: dict[str, Point] = {'forward': (self.head, 'forward')}
        if {'labels', 'positives'} & set(questions):
            points['targets'] = (self.head, '_get_targets_single')
            points['sample'] = (self.head.sampler, 'sample')
        return points

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        rows = []
        for call, sampled in zip(calls['targets'], self._sampled(calls), strict=True):
            priors = call.arguments['priors']
            row = priors.new_full((len(priors),), self.num_classes, dtype=torch.long)
            rows.append(row if sampled is None else row.scatter(0, sampled.pos_inds, sampled.pos_gt_labels))
        labels = torch.stack(rows)
        return Assignment(labels, (labels < self.num_classes).float())

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. A sampler keeps the order of the priors, as do the labels."""
        labels = self.assignment(calls).labels
        images, places = self._positive(labels)
        none = labels.new_zeros(0)
        assigned = [none if each is None else each.pos_assigned_gt_inds for each in self._sampled(calls)]
        return PositivePriors(images, places, in_batch(assigned, truth))

    @staticmethod
    def _sampled(calls: Calls) -> list[SamplingResult | None]:
        """What was sampled in each picture; None where there is no true box, since the head does not sample there."""
        results = iter(call.result for call in calls['sample'])
        return [next(results) if len(call.arguments['gt_instances']) else None for call in calls['targets']]
