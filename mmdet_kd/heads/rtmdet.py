"""RTMDet, which also regresses distances of points, and assigns them as heads with anchors do."""

from collections.abc import Mapping
from typing import Any, ClassVar

from mmdet.models.dense_heads import RTMDetHead, RTMDetInsHead, RTMDetInsSepBNHead, RTMDetSepBNHead

from .base import register_view
from .dense import NO_CENTERNESS, NO_TOWERS, ON_POINTS, DenseMaps
from .dense_targets import TargetsOfLevels
from .points import DistanceView


@register_view(RTMDetHead, RTMDetSepBNHead, RTMDetInsHead, RTMDetInsSepBNHead)
class RTMDetView(DistanceView, TargetsOfLevels):
    """It regresses pixels in both modes. What it says of masks is not asked.

    Source: ``RTMDetHead.forward`` and ``RTMDetHead.get_targets`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **ON_POINTS,
        **NO_TOWERS,
        **NO_CENTERNESS,
        'distributions': 'it regresses numbers',
        'quality': 'its class scores are the quality',
        'assign': 'it assigns priors by what it predicts for them',
    }
    labels_at = 1  # the points come first

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`. Further outputs are of masks."""
        del training
        return DenseMaps(list(raw[0]), list(raw[1]))
