"""Dense heads that regress deltas, distances or buckets of anchors."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from mmdet.models.dense_heads import (
    FreeAnchorRetinaHead,
    FSAFHead,
    PISARetinaHead,
    PISASSDHead,
    RetinaHead,
    RetinaSepBNHead,
    SABLRetinaHead,
    SSDHead,
    YOLACTHead,
)
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from .base import Calls, Point, register_view
from .dense import Assignment, DenseMaps, DenseView, PositivePriors, Priors
from .dense_targets import TargetsOfLevels
from .structures import Truth


@register_view(SSDHead, PISASSDHead, RetinaSepBNHead)
class AnchorView(TargetsOfLevels):
    """Of a head that regresses deltas of anchors, encoded by its box coder.

    PISA weighs the labels once more in its loss; the labels and the positive priors are those that ``get_targets``
    returns.

    Source: ``AnchorHead.loss_by_feat`` and ``BaseDenseHead._predict_by_feat_single`` of mmdet.
    """

    @property
    def coder(self) -> Any:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return self.head.bbox_coder

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return get_box_tensor(self.coder.decode(priors.places, regressed))


@register_view(RetinaHead, PISARetinaHead)
class RetinaView(AnchorView):
    """It has towers.

    Source: ``RetinaHead.forward_single`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {k: v for k, v in AnchorView.cannot.items() if k != 'towers'}


@register_view(YOLACTHead)
class YOLACTView(AnchorView):
    """The third map holds the coefficients of masks, which is no quality.

    Source: ``YOLACTHead.forward_single`` of mmdet.
    """

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return super().maps(raw[:2], training)


@register_view(FreeAnchorRetinaHead)
class FreeAnchorView(AnchorView):
    """Of a head that learns by itself which anchors of a bag match a true box.

    Source: ``FreeAnchorRetinaHead.loss_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **AnchorView.cannot,
        'labels': 'it weighs its priors, and assigns a class to none',
        'positives': 'it weighs its priors, and assigns a true box to none',
        'assign': 'it weighs its priors, and assigns a true box to none',
    }

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        return super().points(set(questions) - set(self.cannot))


@register_view(SABLRetinaHead)
class SABLView(TargetsOfLevels):
    """Of a head that finds each side of a box in a bucket, and regresses where it is in it.

    What is regressed is the scores of the buckets, then their offsets. The gradient of a box reaches the offsets of
    the buckets that were chosen, not the choice.

    Source: ``SABLRetinaHead._predict_by_feat_single`` of mmdet.
    """

    @property
    def prior_generator(self) -> Any:
        """Of the squares; boxes start from them."""
        return self.head.square_anchor_generator

    @property
    def box_channels(self) -> int:  # type: ignore[override]
        """R: 4 sides of so many buckets; their scores and their offsets."""
        return 2 * 4 * self.head.side_num

    def _arguments_again(self, calls: Calls) -> dict[str, Any]:
        """See :class:`~mmdet_kd.heads.DenseView`. This head leaves them as they are."""
        del calls
        return {}

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        del training
        return DenseMaps(list(raw[0]), [torch.cat(level, dim=1) for level in raw[1]])

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        scores, offsets = (each.contiguous() for each in regressed.chunk(2, dim=1))
        boxes, _ = self.head.bbox_coder.decode(priors.places.contiguous(), [scores, offsets])
        return get_box_tensor(boxes)


@register_view(FSAFHead)
class FSAFView(AnchorView):
    """Each true box is learnt on the level where its loss is the least, which the head knows only after its losses.

    A prior that was positive on another level is background here: its other classes are trained, its own is not. In
    training the head's loss replaces distances below 1e-4 by that number, in the list that ``forward`` returned.

    Source: ``FSAFHead.loss_by_feat`` and ``FSAFHead.reweight_loss_single`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **AnchorView.cannot,
        'assign': 'it chooses the level of a true box by its losses',
    }
    relies_on: ClassVar[tuple[str, ...]] = ('reweight_loss_single',)

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        points = DenseView.points(self, questions)
        if 'get_targets' in points:
            points['reweight'] = (self.head, 'reweight_loss_single')
        return points

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`. The weight of a prior is the largest of its classes'."""
        labels = self._levels(calls, lambda call: call.arguments['labels'])
        positive = self._levels(calls, lambda call: call.result[2])
        (targets,) = calls['get_targets']
        weights = torch.cat([level.amax(dim=-1) for level in targets.result[1]], dim=1)
        return Assignment(labels.masked_fill(~positive, self.num_classes), weights)

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. The head has counted the true boxes through the batch by then."""
        images, places = self._positive(self.assignment(calls).labels)
        assigned = self._levels(calls, lambda call: call.arguments['assigned_gt_inds'])
        return PositivePriors(images, places, assigned[images, places])

    def _levels(self, calls: Calls, read: Any) -> Tensor:
        """What is read of each level's reweighting (N * m,), as (N, M)."""
        (targets,) = calls['get_targets']
        images = len(targets.arguments['batch_gt_instances'])
        return torch.cat([read(call).view(images, -1) for call in calls['reweight']], dim=1)
