"""Dense heads that regress distributions of distances."""

from collections.abc import Mapping
from typing import ClassVar

from mmdet.models.dense_heads import GFLHead, LDHead
from torch import Tensor

from .base import register_view
from .dense import NO_CENTERNESS, Priors
from .dense_targets import TargetsOfLevels


@register_view(GFLHead)
class GFLView(TargetsOfLevels):
    """Of a head that regresses how far the sides of a box are from its anchor's centre, in strides.

    Source: ``GFLHead.loss_by_feat_single`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {**NO_CENTERNESS, 'quality': 'its class scores are the quality'}
    labels_at = 1  # the anchors come first

    @property
    def box_channels(self) -> int:  # type: ignore[override]
        """R = 4 (reg_max + 1)."""
        return 4 * (self.head.reg_max + 1)

    def distributions(self, regressed: Tensor) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`; ``reg_max`` + 1 bins, a stride apart."""
        return regressed.unflatten(1, (4, -1))

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        centres = (priors.places[:, :2] + priors.places[:, 2:]) / 2
        return self.head.bbox_coder.decode(centres, self.head.integral(regressed) * priors.strides)


@register_view(LDHead)
class LDView(GFLView):
    """As a teacher it is GFL's.

    Source: ``LDHead.loss`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **GFLView.cannot,
        'labels': "its loss needs the outputs of a teacher of its own, mmdet's",
        'positives': "its loss needs the outputs of a teacher of its own, mmdet's",
        'assign': "its loss needs the outputs of a teacher of its own, mmdet's",
    }
