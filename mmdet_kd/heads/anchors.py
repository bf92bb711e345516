"""Dense heads that regress the deltas of anchors."""

from collections.abc import Mapping
from typing import ClassVar

from mmdet.models.dense_heads import ATSSHead, PISARetinaHead, RetinaHead, RetinaSepBNHead, SSDHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor

from .base import register_view
from .dense import Priors
from .dense_targets import TargetsOfLevels


@register_view(SSDHead, RetinaHead, RetinaSepBNHead, PISARetinaHead)
class AnchorView(TargetsOfLevels):
    """Of a head that regresses deltas of anchors, encoded by its box coder."""

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        return get_box_tensor(self.head.bbox_coder.decode(priors.places, regressed))


@register_view(ATSSHead)
class ATSSView(AnchorView):
    """The quality is a centerness."""

    cannot: ClassVar[Mapping[str, str]] = {'distributions': 'it regresses numbers'}
    labels_at = 1  # the anchors come first
