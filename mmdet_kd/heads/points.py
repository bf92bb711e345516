"""Dense heads that regress distances of points from the four sides of a box."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from mmdet.models.dense_heads import FCOSHead
from torch import Tensor

from .base import Calls, register_view
from .dense import Assignment, DenseMaps, DenseView, PositivePriors, Priors
from .dense_targets import nearest_truth
from .structures import Truth


@register_view(FCOSHead)
class FCOSView(DenseView):
    """``get_targets`` returns levels (N * m,), and notes no true box; what is regressed in strides is made pixels."""

    cannot: ClassVar[Mapping[str, str]] = {'distributions': 'it regresses numbers'}

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`. In training, the head regresses strides if ``norm_on_bbox``."""
        scores, regressed, quality = (list(levels) for levels in raw)
        if training and self.head.norm_on_bbox:
            regressed = [level * stride[0] for level, stride in zip(regressed, self.strides, strict=True)]
        return DenseMaps(scores, regressed, quality)

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return self.head.bbox_coder.decode(priors.places, regressed)

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        labels = self._levels(calls, 0)
        return Assignment(labels, torch.ones_like(labels, dtype=torch.float))

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. The true box is the nearest to the decoded target."""
        (call,) = calls['get_targets']
        levels = [len(points) for points in call.arguments['points']]
        labels = self._levels(calls, 0)
        images, places = self._positive(labels)
        points, strides = torch.cat(list(call.arguments['points'])), self._strides_of(levels, labels)
        targets = torch.cat([level.view(len(labels), -1, 4) for level in call.result[1]], dim=1)[images, places]
        if self.head.norm_on_bbox:
            targets = targets * strides[places]
        boxes = self.head.bbox_coder.decode(points[places], targets)
        return PositivePriors(images, places, nearest_truth(boxes, labels[images, places], images, truth))

    def _levels(self, calls: Calls, place: int) -> Tensor:
        """A list of levels (N * m,) as (N, M)."""
        (call,) = calls['get_targets']
        images = len(call.arguments['batch_gt_instances'])
        return torch.cat([level.view(images, -1) for level in call.result[place]], dim=1)

    def _strides_of(self, levels: list[int], like: Tensor) -> Tensor:
        """The strides (M, 1) of priors of which each level has so many."""
        pairs = zip(levels, self.strides, strict=True)
        return torch.cat([like.new_full((count, 1), stride[0]) for count, stride in pairs]).float()
