"""Dense heads that choose their positive anchors by themselves: ATSS, and what was built upon it."""

from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from mmdet.models.dense_heads import ATSSHead, DDODHead, LADHead, PAAHead, TOODHead
from torch import Tensor

from .anchors import AnchorView
from .base import Calls, Point, register_view
from .dense import NO_CENTERNESS, NO_TOWERS, Assignment, DenseMaps, PositivePriors, Priors
from .dense_targets import TargetsOfLevels, in_batch, join_levels, sampled_truth
from .structures import Truth
from .towers import depths_of

_BY_PREDICTIONS = 'it assigns priors by what it predicts for them'


@register_view(ATSSHead)
class ATSSView(AnchorView):
    """The quality is a centerness.

    Source: ``ATSSHead.loss_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {'distributions': 'it regresses numbers'}
    labels_at = 1  # the anchors come first


@register_view(DDODHead)
class DDODView(AnchorView):
    """The quality is an IoU. Anchors are assigned twice: first for the classes, then for the boxes.

    The labels are those of the first assignment, the positive priors those of the second: a positive prior may have
    another label, or none.

    Source: ``DDODHead.loss_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **NO_TOWERS,
        **NO_CENTERNESS,
        'distributions': 'it regresses numbers',
        'assign': _BY_PREDICTIONS,
    }
    relies_on: ClassVar[tuple[str, ...]] = ('get_cls_targets', 'get_reg_targets')

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        points: dict[str, Point] = {'forward': (self.head, 'forward')}
        if 'labels' in questions:
            points['get_cls_targets'] = (self.head, 'get_cls_targets')
        if 'positives' in questions:
            points['get_reg_targets'] = (self.head, 'get_reg_targets')
            points['sample'] = (self.head.sampler, 'sample')
        return points

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        (call,) = calls['get_cls_targets']
        return Assignment(*(join_levels(levels) for levels in call.result[1:3]))

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. The later half of the samples belongs to the boxes."""
        (call,) = calls['get_reg_targets']
        images, places = self._positive(join_levels(call.result[1]))
        of_boxes = calls['sample'][len(truth.boxes) :]
        return PositivePriors(images, places, sampled_truth(of_boxes, truth, len(images)))


@register_view(PAAHead)
class PAAView(AnchorView):
    """The quality is an IoU. Of the candidates in ``get_targets``, each picture keeps those whose loss is low.

    Its loss needs scikit-learn, which mmdet does not ask for when it is installed.

    Source: ``PAAHead.loss_by_feat`` and ``PAAHead.paa_reassign`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **NO_CENTERNESS,
        'distributions': 'it regresses numbers',
        'assign': _BY_PREDICTIONS,
    }
    relies_on: ClassVar[tuple[str, ...]] = ('paa_reassign',)

    def why_not(self, question: str) -> str | None:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        if question in ('labels', 'positives') and find_spec('sklearn') is None:
            return 'its loss needs scikit-learn, which is not installed (pip install scikit-learn)'
        return super().why_not(question)

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        points: dict[str, Point] = {'forward': (self.head, 'forward')}
        if {'labels', 'positives'} & set(questions):
            points['reassign'] = (self.head, 'paa_reassign')
        return points | self.tower_points(depths_of(questions))

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        labels, weights = zip(*(call.result[:2] for call in calls['reassign']), strict=True)
        return Assignment(torch.stack(labels), torch.stack(weights))

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. A candidate that was kept has a class yet."""
        images, places, assigned = [], [], []
        for image, (call, _) in enumerate(zip(calls['reassign'], truth.boxes, strict=True)):
            candidates, of_candidates = (call.arguments[name] for name in ('pos_inds', 'pos_gt_inds'))
            kept = call.result[0][candidates] < self.num_classes
            places.append(candidates[kept])
            assigned.append(of_candidates[kept])
            images.append(torch.full_like(places[-1], image))
        return PositivePriors(torch.cat(images), torch.cat(places), in_batch(assigned, truth))


@register_view(LADHead)
class LADView(PAAView):
    """As a teacher it is PAA's.

    Source: ``LADHead.loss`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **PAAView.cannot,
        'labels': 'its loss takes them from a teacher of its own, that of the LAD detector',
        'positives': 'its loss takes them from a teacher of its own, that of the LAD detector',
    }


@register_view(TOODHead)
class TOODView(TargetsOfLevels):
    """It gives probabilities, and boxes in strides.

    While the epoch, which the head reads from the message hub, is below ``initial_epoch``, anchors are assigned as
    ATSS does, and afterwards by how well classes and boxes agree; both are sampled once a picture.

    Source: ``TOODHead.forward`` and ``TOODHead.get_targets`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {**TargetsOfLevels.cannot, 'assign': _BY_PREDICTIONS}
    #: Probabilities nearer to 0 or 1 are taken for this one, or 1 minus it: a logit within ±13.8.
    closest: ClassVar[float] = 1e-6
    labels_at = 1  # the anchors come first

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        del training
        probabilities, boxes = raw
        logits = [torch.logit(level.float(), eps=self.closest) for level in probabilities]
        return DenseMaps(logits, [level * stride[0] for level, stride in zip(boxes, self.strides, strict=True)])

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        del priors
        return regressed
