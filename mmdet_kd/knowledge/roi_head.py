"""The parts of mmdet's RoI heads that knowledge is taken from."""

from torch import Tensor, nn

from ..heads.structures import RoIOutputs


def box_heads(roi_head: nn.Module) -> list[nn.Module]:
    """The box head of each stage; one for a detector without a cascade."""
    heads = roi_head.bbox_head
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def forward_box_head(roi_head: nn.Module, stage: int, feats: tuple[Tensor, ...], rois: Tensor) -> RoIOutputs:
    """Run one stage of a RoI head on given RoIs.

    mmdet has no public call for this: ``forward`` also runs the mask branch and averages the stages of a cascade.
    This function is the one place that names the private ``_bbox_forward``.

    Args:
        roi_head: any RoI head of mmdet with a box branch.
        stage: index of the stage; 0 without a cascade.
        feats: the maps that the RoI head reads, (N, C, H, W) each.
        rois: (n, 5): index of the image, box.
    """
    stage_argument = (stage,) if isinstance(roi_head.bbox_head, nn.ModuleList) else ()
    results = roi_head._bbox_forward(*stage_argument, feats, rois)
    return RoIOutputs(results['cls_score'], results['bbox_pred'])
