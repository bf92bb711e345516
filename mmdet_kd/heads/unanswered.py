"""Heads that do not score a known grid of priors: nothing can be asked of them, and why."""

from collections.abc import Mapping
from typing import ClassVar

from mmdet.models import dense_heads as heads

from .base import register_view
from .dense import DenseView


@register_view(
    heads.DETRHead,
    heads.ConditionalDETRHead,
    heads.DABDETRHead,
    heads.DeformableDETRHead,
    heads.DINOHead,
    heads.DDQDETRHead,
    heads.GroundingDINOHead,
)
class QueriesView(DenseView):
    """Of the DETR family."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it predicts a set of boxes from queries, which have no place on a map'
    )


@register_view(heads.MaskFormerHead, heads.Mask2FormerHead)
class MaskQueriesView(DenseView):
    """Of MaskFormer and Mask2Former."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it predicts a set of masks from queries, which have no place on a map'
    )


@register_view(heads.SOLOHead, heads.DecoupledSOLOHead, heads.DecoupledSOLOLightHead, heads.SOLOV2Head)
class MaskCellsView(DenseView):
    """Of SOLO, whose grids have sizes of their own.

    Source: ``SOLOHead.num_grids`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(DenseView.questions, 'its cells have masks, and none has a box')


@register_view(heads.CornerHead, heads.CentripetalHead)
class CornersView(DenseView):
    """Of CornerNet.

    Source: ``CornerHead.predict_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it finds corners and groups them in pairs; no prior has a box'
    )


@register_view(heads.CenterNetHead)
class CentresView(DenseView):
    """Of CenterNet, whose head learns from each batch how large its map is beside the picture.

    Source: ``CenterNetHead.loss_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it does not know how many pixels a cell of its map spans'
    )


@register_view(heads.EmbeddingRPNHead)
class EmbeddedBoxesView(DenseView):
    """Of Sparse R-CNN's proposals."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it learns boxes that are the same for all pictures, and scores none'
    )


@register_view(heads.GuidedAnchorHead, heads.GARetinaHead)
class GuidedAnchorView(DenseView):
    """Its anchors are made from the picture; in eval mode the first picture decides which cells of all are scored.

    Source: ``GARetinaHead.forward_single`` and ``GuidedAnchorHead.get_anchors`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it makes its anchors from the picture, and leaves cells out in eval mode'
    )


@register_view(heads.ATSSVLFusionHead)
class ATSSVLFusionView(DenseView):
    """Of GLIP.

    Source: ``ATSSVLFusionHead.forward`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        DenseView.questions, 'it scores the words of a text that comes with the picture'
    )
