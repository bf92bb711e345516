"""What the mask head of a RoI head says of the RoIs that it trains on: the positive ones.

What is read of a step is the one call of ``loss_and_target``. Each stage of a cascade has a mask head of its own; SCNet
has one for all.
"""

from collections.abc import Collection, Mapping
from typing import ClassVar, NamedTuple

import torch
from mmdet.models.roi_heads.mask_heads import (
    CoarseMaskHead,
    DynamicMaskHead,
    FCNMaskHead,
    FeatureRelayHead,
    FusedSemanticHead,
    GlobalContextHead,
    GridHead,
    HTCMaskHead,
    MaskIoUHead,
    MaskPointHead,
    SCNetMaskHead,
    SCNetSemanticHead,
)
from mmdet.structures.bbox import bbox2roi
from torch import Tensor

from .base import Calls, HeadView, Point, register_view

_QUESTIONS = {
    'masks': 'a mask of each RoI',
    'targets': 'which mask each positive RoI is trained towards',
}


class RoIMasks(NamedTuple):
    """The P positive RoIs of a step, those of the first picture first; (h, w) is the size of a mask."""

    logits: Tensor  # (P, h, w); of the sigmoids of the true class's mask
    targets: Tensor  # (P, h, w); 0 or 1
    rois: Tensor  # (P, 5): index of the picture, box
    labels: Tensor  # (P,)


@register_view(FCNMaskHead, CoarseMaskHead, SCNetMaskHead)
class MaskView(HeadView):
    """Of a mask head that gives each RoI a mask of each class, or one of any class.

    Source: mmdet's ``FCNMaskHead``.
    """

    questions: ClassVar[Mapping[str, str]] = _QUESTIONS
    decisive: ClassVar[tuple[str, ...]] = ('loss_and_target', 'get_targets')

    def select(self, masks: Tensor, labels: Tensor) -> Tensor:
        """The logits (P, h, w) of the class of each RoI.

        Args:
            masks: what ``forward`` gave, (P, C, h, w); (P, 1, h, w) where one mask serves any class.
            labels: (P,), the class of each RoI.
        """
        channels = torch.zeros_like(labels) if self.head.class_agnostic else labels
        return masks[torch.arange(len(masks), device=masks.device), channels]

    @property
    def num_classes(self) -> int | None:
        """C; None where one mask serves any class."""
        return None if self.head.class_agnostic else self.head.num_classes

    def of_features(self, features: Tensor) -> Tensor:
        """The masks (n, C, h, w) of the features (n, K, H, W) of RoIs."""
        return self.head(features)

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`HeadView`."""
        del questions
        return {'loss_and_target': (self.head, 'loss_and_target')}

    def masks(self, calls: Calls) -> RoIMasks:
        """The masks of the recorded step, and what they were trained towards."""
        (call,) = calls['loss_and_target']
        sampled = call.arguments['sampling_results']
        labels = torch.cat([result.pos_gt_labels for result in sampled])
        rois = bbox2roi([result.pos_priors for result in sampled])
        logits = self.select(call.arguments['mask_preds'], labels)
        return RoIMasks(logits, call.result['mask_targets'], rois, labels)


@register_view(HTCMaskHead)
class HTCMaskView(MaskView):
    """Of Hybrid Task Cascade: beside the masks it gives the features that the next stage reads."""

    def of_features(self, features: Tensor) -> Tensor:
        """See :class:`MaskView`; without what earlier stages add to the features."""
        return self.head(features, return_feat=False)


class _Refused(MaskView):
    decisive: ClassVar[tuple[str, ...]] = ()


@register_view(DynamicMaskHead)
class DynamicMaskView(_Refused):
    """Of QueryInst."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        _QUESTIONS, 'it also reads a feature of each learned proposal, which the RoIs of another detector do not have'
    )


@register_view(GridHead)
class GridView(_Refused):
    """Of Grid R-CNN."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        _QUESTIONS, 'it says where the grid points of a box are, and has no masks'
    )


@register_view(MaskIoUHead)
class MaskIoUView(_Refused):
    """Of Mask Scoring R-CNN."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(_QUESTIONS, 'it says how good a mask is, and has none')


@register_view(MaskPointHead)
class MaskPointView(_Refused):
    """Of PointRend, beside its coarse masks."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        _QUESTIONS, 'it scores points that it draws anew in each step; the coarse mask head beside it has masks'
    )


@register_view(FeatureRelayHead)
class RelayView(_Refused):
    """Of SCNet, between the box heads and the mask head."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(_QUESTIONS, 'it passes features on, and has no masks')


@register_view(FusedSemanticHead, SCNetSemanticHead, GlobalContextHead)
class PictureView(_Refused):
    """Of a head beside the mask heads of HTC and SCNet."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        _QUESTIONS, 'it looks at whole pictures, and knows neither RoIs nor their masks'
    )
