"""Dense heads of which nothing can be asked, and why."""

from collections.abc import Mapping
from typing import ClassVar

from mmdet.models.dense_heads import ATSSVLFusionHead, GARetinaHead, GuidedAnchorHead

from .base import register_view
from .dense import DenseView


@register_view(GuidedAnchorHead, GARetinaHead)
class GuidedAnchorView(DenseView):
    """Its anchors are made from the picture; in eval mode the first picture decides which cells of all are scored.

    Source: ``GARetinaHead.forward_single`` and ``GuidedAnchorHead.get_anchors`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it makes its anchors from the picture, and leaves cells out in eval mode'
    )


@register_view(ATSSVLFusionHead)
class ATSSVLFusionView(DenseView):
    """Of GLIP.

    Source: ``ATSSVLFusionHead.forward`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it scores the words of a text that comes with the picture'
    )
