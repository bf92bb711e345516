"""Dense heads that regress the distances of points from the four sides of a box.

There is one point a cell: in its middle, or at its upper left corner (VFNet with ATSS, AutoAssign). In
:class:`~mmdet_kd.heads.DenseMaps`, distances are pixels.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from mmdet.models.dense_heads import (
    AutoAssignHead,
    BoxInstBboxHead,
    CenterNetUpdateHead,
    CondInstBboxHead,
    FCOSHead,
    FoveaHead,
    NASFCOSHead,
    VFNetHead,
)
from torch import Tensor

from .base import Call, Calls, Point, register_view
from .dense import NO_CENTERNESS, NO_TOWERS, ON_POINTS, Assignment, DenseMaps, DenseView, PositivePriors, Priors
from .dense_targets import by_picture, in_batch, nearest_truth
from .structures import Truth


class _Targets(NamedTuple):
    """What a head was trained towards, a list a level."""

    labels: list[Tensor]  # (N * m,), the pictures one after another
    distances: list[Tensor]  # (N * m, 4), pixels
    points: list[Tensor]  # (m, 2), pixels


class DistanceView(DenseView):
    """Of a head whose box coder decodes distances from points.

    Source: ``DistancePointBBoxCoder`` of mmdet.
    """

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return self.head.bbox_coder.decode(priors.places, regressed)

    def _in_pixels(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """What is measured in strides, a tensor a level, in pixels."""
        return [level * stride[0] for level, stride in zip(levels, self.strides, strict=True)]


@register_view(FCOSHead, NASFCOSHead)
class FCOSView(DistanceView):
    """``get_targets`` returns levels of all pictures, and notes no true box. The quality is a centerness.

    Source: ``FCOSHead.forward_single`` and ``FCOSHead.get_targets`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {**ON_POINTS, 'distributions': 'it regresses numbers'}

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`. In training, the head regresses strides if ``norm_on_bbox``."""
        scores, regressed, quality = map(list, raw[:3])
        in_strides = training and self.head.norm_on_bbox
        return DenseMaps(scores, self._in_pixels(regressed) if in_strides else regressed, quality)

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`. All priors count alike."""
        (call,) = calls['get_targets']
        labels = by_picture(self._targets(call).labels, self._images(call))
        return Assignment(labels, torch.ones_like(labels, dtype=torch.float))

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. The true box is the nearest to the decoded target."""
        (call,) = calls['get_targets']
        targets, count = self._targets(call), self._images(call)
        labels, distances = (by_picture(levels, count) for levels in (targets.labels, targets.distances))
        images, places = self._positive(labels)
        boxes = self.head.bbox_coder.decode(torch.cat(targets.points)[places], distances[images, places])
        return PositivePriors(images, places, nearest_truth(boxes, labels[images, places], images, truth))

    def _targets(self, call: Call) -> _Targets:
        labels, distances = map(list, call.result[:2])
        points = list(call.arguments['points'])
        return _Targets(labels, self._in_pixels(distances) if self.head.norm_on_bbox else distances, points)

    @staticmethod
    def _images(call: Call) -> int:
        """N."""
        return len(call.arguments['batch_gt_instances'])


@register_view(CondInstBboxHead, BoxInstBboxHead)
class CondInstView(FCOSView):
    """``get_targets`` notes the true box of each positive point, for the mask head.

    Source: ``CondInstBboxHead.get_targets`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **FCOSView.cannot,
        **NO_TOWERS,
        'assign': 'it looks for the middle of each mask, and other boxes have none',
    }

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        (call,) = calls['get_targets']
        images, places = self._positive(self.assignment(calls).labels)
        return PositivePriors(images, places, in_batch(call.result[3], truth))


@register_view(VFNetHead)
class VFNetView(FCOSView):
    """Its scores are aware of the IoU of its refined boxes, which are the last output.

    Its targets are assigned as ATSS or as FCOS do (``use_atss``), and returned in one form.

    Source: ``VFNetHead.forward_single`` and ``VFNetHead.get_targets`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **ON_POINTS,
        **NO_TOWERS,
        **NO_CENTERNESS,
        'distributions': 'it regresses numbers',
        'quality': 'its class scores are the quality',
    }
    relies_on = ('get_atss_targets', 'get_fcos_targets')

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`. In training, the boxes before they are refined come between."""
        return DenseMaps(list(raw[0]), list(raw[2 if training else 1]))

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`. The varifocal loss is given no weights."""
        (call,) = calls['get_targets']
        targets, weights = self._targets(call), call.result[1]
        labels = by_picture(targets.labels, self._images(call))
        if self.head.use_vfl or weights is None:
            return Assignment(labels, torch.ones_like(labels, dtype=torch.float))
        lengths = [len(level) for level in targets.labels]
        return Assignment(labels, by_picture(weights.split(lengths), self._images(call)))

    def _targets(self, call: Call) -> _Targets:
        labels, _, distances, _ = call.result
        return _Targets(labels, distances, call.arguments['mlvl_points'])


@register_view(AutoAssignHead)
class AutoAssignView(DistanceView):
    """It regresses pixels in both modes. The quality is an objectness.

    Source: ``AutoAssignHead.forward_single`` and ``AutoAssignHead.loss_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **ON_POINTS,
        **NO_TOWERS,
        **NO_CENTERNESS,
        'distributions': 'it regresses numbers',
        'labels': 'each prior in a box is trained towards it in part, and none towards a class alone',
        'positives': 'each prior in a box is trained towards it in part, and none is positive',
        'assign': 'each prior in a box is trained towards it in part, and none is positive',
    }
    conditional = True


@register_view(FoveaHead)
class FoveaView(FCOSView):
    """It regresses logarithms of distances, in base lengths of its levels.

    ``get_targets`` returns one flat tensor, level after level. Its distances are clipped.

    Source: ``FoveaHead.get_targets`` and ``FoveaHead._bbox_decode`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {**ON_POINTS, **DenseView.cannot}
    relies_on = ('_bbox_decode',)
    _CLIPPED = (1 / 16, 16.0)  # of the head's targets, in base lengths

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        del training
        return DenseMaps(list(raw[0]), self._distances(raw[1]))

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. The true box is the one that would give the same clipped target."""
        (call,) = calls['get_targets']
        targets, count = self._targets(call), self._images(call)
        labels, distances = (by_picture(levels, count) for levels in (targets.labels, targets.distances))
        images, places = self._positive(labels)
        points = torch.cat(targets.points)[places]
        lengths = zip(targets.points, self.head.base_edge_list, strict=True)
        base = torch.cat([level.new_full((len(level), 1, 1), length) for level, length in lengths])[places]

        def clipped(boxes: Tensor) -> Tensor:
            sides = torch.cat([points[:, None] - boxes[..., :2], boxes[..., 2:] - points[:, None]], dim=-1)
            low, high = (base * bound for bound in self._CLIPPED)
            return sides.clamp(low, high)

        assigned = nearest_truth(distances[images, places], labels[images, places], images, truth, clipped)
        return PositivePriors(images, places, assigned)

    def _targets(self, call: Call) -> _Targets:
        labels, logarithms = call.result
        points = list(call.arguments['priors_list'])
        lengths = [self._images(call) * len(level) for level in points]
        return _Targets(list(labels.split(lengths)), self._distances(logarithms.split(lengths)), points)

    def _distances(self, logarithms: Sequence[Tensor]) -> list[Tensor]:
        """What is regressed, a tensor a level, in pixels; in single precision, since it is exponential."""
        lengths = self.head.base_edge_list
        return [level.float().exp() * length for level, length in zip(logarithms, lengths, strict=True)]


@register_view(CenterNetUpdateHead)
class CenterNetUpdateView(FCOSView):
    """Its class scores and its boxes have positive priors of their own.

    The labels show those of the scores, which ``add_cls_pos_inds`` finds. Where a prior is one for several classes, its
    label is the first of these. :meth:`positives` finds those of the boxes.

    Source: ``CenterNetUpdateHead.loss_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **ON_POINTS,
        **DenseView.cannot,
        'assign': 'it finds the positive priors of its classes beside its targets',
    }
    relies_on = ('add_cls_pos_inds',)

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        points = super().points(questions)
        if 'labels' in questions:
            points['add_cls_pos_inds'] = (self.head, 'add_cls_pos_inds')
        return points

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`. In training, the head regresses strides."""
        scores, regressed = map(list, raw)
        return DenseMaps(scores, self._in_pixels(regressed) if training else regressed)

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`. All priors count alike."""
        (call,), (found,) = calls['get_targets'], calls['add_cls_pos_inds']
        places, classes = found.result
        points = found.arguments['flatten_points']  # of all pictures
        labels = points.new_full((len(points),), self.num_classes, dtype=torch.long)
        if places is not None:  # None where the batch has no true box
            labels = labels.scatter_reduce(0, places, classes, 'amin')
        labels = by_picture(labels.split(self._lengths(call)), self._images(call))
        return Assignment(labels, torch.ones_like(labels, dtype=torch.float))

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. The true box is the nearest to the decoded target."""
        (call,) = calls['get_targets']
        distances = by_picture(self._in_pixels(call.result[1].split(self._lengths(call))), self._images(call))
        images, places = torch.nonzero(distances.amax(dim=-1) >= 0, as_tuple=True)  # far below 0 where there is none
        points = torch.cat(list(call.arguments['points']))[places]
        boxes = self.head.bbox_coder.decode(points, distances[images, places])
        return PositivePriors(images, places, nearest_truth(boxes, None, images, truth))

    def _lengths(self, call: Call) -> list[int]:
        """N * m, a number a level."""
        return [self._images(call) * len(level) for level in call.arguments['points']]
