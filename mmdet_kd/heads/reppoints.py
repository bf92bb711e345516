"""RepPoints."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from mmdet.models.dense_heads import RepPointsHead
from torch import Tensor

from .base import Calls, register_view
from .dense import ON_POINTS, Assignment, DenseMaps, DenseView, PositivePriors, Priors
from .dense_targets import TargetsOfLevels
from .structures import Truth


@register_view(RepPointsHead)
class RepPointsView(TargetsOfLevels):
    """It regresses sets of points, twice. The box of the refined set is what it predicts.

    In :class:`~mmdet_kd.heads.DenseMaps`, a box is relative to its prior, in pixels.

    Source: ``RepPointsHead.forward_single`` and ``RepPointsHead.loss_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **ON_POINTS,
        **DenseView.cannot,
        'assign': 'it assigns priors by what it predicts for them',
    }
    relies_on = ('points2bbox', 'get_points', '_bbox_decode')

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`. The last output is sets of points in training, boxes in eval mode."""
        scores, *_, last = raw
        boxes = [self.head.points2bbox(points) for points in last] if training else last
        in_pixels = [level * stride[0] for level, stride in zip(boxes, self.strides, strict=True)]
        return DenseMaps(list(scores), in_pixels)

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return regressed + torch.cat([priors.places, priors.places], dim=1)

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return super().assignment(self._refined(calls))

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return super().positives(self._refined(calls), truth)

    @staticmethod
    def _refined(calls: Calls) -> Calls:
        """Those of the second assignment; the first, of all pictures too, trains the first sets of points alone."""
        return {name: of_name[len(of_name) // 2 :] for name, of_name in calls.items() if name != 'forward'}
