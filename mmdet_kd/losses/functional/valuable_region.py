"""Where a box is worth learning beside the positive places (LD)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

#: 'diou', the paper's; 'of anchor', what the authors' code computes.
Overlap = Literal['diou', 'of anchor']


def valuable_region(
    anchors: Sequence[Tensor],
    boxes: Tensor,
    is_box: Tensor,
    *,
    alpha: float = 0.25,
    nearest: int = 9,
    overlap: Overlap = 'diou',
) -> Tensor:
    r"""How much each anchor is worth: the largest IoU with a box g that it overlaps in between, otherwise 0.

    .. math::
        \alpha t_g \leq \mathrm{DIoU}(a, g) < t_g, \qquad
        \mathrm{DIoU} = \mathrm{IoU} - \frac{\rho^2}{c^2}

    rho is the distance of the centres, c the diagonal of the smallest box around both. t_g is what ATSS takes for a
    box: mean plus standard deviation of the IoU of its nearest anchors, so many of each level.

    Args:
        anchors: of each level (m, 4), xyxy, pixels, the same for all pictures.
        boxes: true boxes of each picture (N, G, 4), filled up to G.
        is_box: which of them there are (N, G), bool.
        alpha: in [0, 1].
        nearest: anchors of a level that t_g looks at, at most.
        overlap: 'diou'; or 'of anchor', the authors' code: the intersection over the area of the anchor takes the
            place of the IoU in the condition.

    Returns:
        (N, M), in [0, 1]; without gradient.

    Source: Zheng et al., CVPR 2022 (LD), section 3.3 and algorithm 1.
    """
    with torch.no_grad():
        joined = torch.cat(list(anchors))
        if boxes.shape[1] == 0:
            return joined.new_zeros(len(boxes), len(joined))
        filler = torch.zeros_like(boxes[:1, :1])
        filler[..., 2:] = 1  # any box with an area
        boxes = torch.where(is_box[..., None], boxes, filler)
        shared = _intersection(joined, boxes)
        area_a, area_g = _area(joined)[:, None], _area(boxes)[:, None]
        iou = shared / (area_a + area_g - shared)
        apart = _centre_distance(joined, boxes)
        threshold = _threshold(iou, apart, [len(level) for level in anchors], nearest)
        inside = iou if overlap == 'diou' else shared / area_a
        near = inside - apart / _diagonal(joined, boxes)
        between = (near >= alpha * threshold) & (near < threshold) & is_box[:, None]
        return (iou * between).amax(dim=2)


def _threshold(iou: Tensor, apart: Tensor, counts: Sequence[int], nearest: int) -> Tensor:
    """t_g of each box, (N, 1, G)."""
    candidates = []
    for level_iou, level_apart in zip(iou.split(counts, dim=1), apart.split(counts, dim=1), strict=True):
        places = level_apart.topk(min(nearest, level_apart.shape[1]), dim=1, largest=False).indices
        candidates.append(level_iou.gather(1, places))
    chosen = torch.cat(candidates, dim=1)
    return chosen.mean(dim=1, keepdim=True) + chosen.std(dim=1, keepdim=True)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)


def _intersection(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Of M anchors and (N, G) boxes, (N, M, G)."""
    upper = torch.maximum(anchors[None, :, None, :2], boxes[:, None, :, :2])
    lower = torch.minimum(anchors[None, :, None, 2:], boxes[:, None, :, 2:])
    return (lower - upper).clamp(min=0).prod(dim=-1)


def _centre_distance(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Squared."""
    first, second = ((each[..., :2] + each[..., 2:]) / 2 for each in (anchors[None, :, None], boxes[:, None]))
    return (first - second).square().sum(dim=-1)


def _diagonal(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Squared, of the smallest box around both."""
    upper = torch.minimum(anchors[None, :, None, :2], boxes[:, None, :, :2])
    lower = torch.maximum(anchors[None, :, None, 2:], boxes[:, None, :, 2:])
    return (lower - upper).square().sum(dim=-1)
