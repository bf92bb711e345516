"""Where anchors come near to an object, and the distance of two maps there (FGFI).

Shapes: N pictures, k true boxes of a picture at most, A anchors a cell, a map of H x W cells. Boxes are xyxy, in cells.
Every cell has the same anchors, so their overlap with a box is a product: how much they have in common in x, which
depends on the column alone, times the same in y, which depends on the row. Nothing larger than (N, k, H, W) is held.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .shapes import check_same_shape


class _Overlaps(NamedTuple):
    """Of each true box and each anchor of a cell."""

    in_x: Tensor  # (N, k, A, W)
    in_y: Tensor  # (N, k, A, H)
    areas: Tensor  # (N, k, A); of the two together, what they have in common counted twice


@torch.no_grad()
def best_overlap(boxes: Sequence[Tensor], valid: Tensor, first: Tensor, spacing: Tensor) -> Tensor:
    """The largest IoU of each true box with an anchor of a valid cell.

    All anchors of one shape have the same area, so the one that has the most in common with a box has the largest IoU.

    Args:
        boxes: of each picture (k, 4).
        valid: which cells show a picture (N, H, W): of each picture a rectangle from the upper left corner.
        first: anchors of the upper left cell (N, A, 4), or (1, A, 4) of all pictures.
        spacing: how far the anchors of the next cell lie, in x and y, (2,).

    Returns:
        (N, k); 0 where no anchor overlaps, and where a picture has fewer boxes.
    """
    overlaps = _overlaps(boxes, valid, first, spacing)
    valid_x, valid_y = valid.any(dim=1)[:, None, None], valid.any(dim=2)[:, None, None]
    common = (overlaps.in_x * valid_x).amax(dim=-1) * (overlaps.in_y * valid_y).amax(dim=-1)
    return _iou(common, overlaps.areas).amax(dim=-1)


@torch.no_grad()
def anchor_mask(boxes: Sequence[Tensor], valid: Tensor, first: Tensor, spacing: Tensor, threshold: Tensor) -> Tensor:
    r"""The cells with an anchor whose IoU with a true box is above the threshold of that box.

    .. math:: M_{hw} = [\exists g, a : \mathrm{IoU}(a_{hw}, g) > \tau_g]

    Args:
        boxes: of each picture (k, 4).
        valid: which cells show a picture (N, H, W); the others are never on.
        first: anchors of the upper left cell (N, A, 4), or (1, A, 4) of all pictures.
        spacing: how far the anchors of the next cell lie, in x and y, (2,).
        threshold: of each true box (N, k), at least 0. Padding of the lists of boxes overlaps nothing, so it is never
            above.

    Returns:
        Mask (N, 1, H, W) of booleans.

    Source: Wang et al., CVPR 2019 (FGFI).
    Differs: cells that show padding are left out.
    """
    overlaps = _overlaps(boxes, valid, first, spacing)
    mask = torch.zeros_like(valid)
    for anchor in range(overlaps.areas.shape[-1]):
        common = overlaps.in_y[:, :, anchor, :, None] * overlaps.in_x[:, :, anchor, None, :]
        iou = _iou(common, overlaps.areas[:, :, anchor, None, None])
        mask = mask | (iou > threshold[..., None, None]).any(dim=1)
    return (mask & valid)[:, None]


def imitation_loss(feat_s: Tensor, feat_t: Tensor, mask: Tensor, count: Tensor | float) -> Tensor:
    r"""Half the squared distance of two maps where a mask is on.

    .. math:: L = \frac{1}{2 N_p} \sum_{n, h, w} M_{nhw} \sum_c (F_s - F_t)^2

    Args:
        feat_s: adapted student map (N, C, H, W); receives gradient.
        feat_t: teacher map, the same shape; constant.
        mask: (N, 1, H, W).
        count: N_p > 0, the cells that are on in the whole batch.

    Returns:
        A scalar: the sum over the channels, the mean over the cells that are on. Without any it is 0, attached to the
        graph.

    Raises:
        ValueError: the shapes differ.

    Source: Wang et al., CVPR 2019 (FGFI).
    """
    check_same_shape(feat_s, feat_t)
    distance = (feat_s - feat_t.detach()).square().sum(dim=1, keepdim=True)
    return (mask * distance).sum() / (2 * count)


def _overlaps(boxes: Sequence[Tensor], valid: Tensor, first: Tensor, spacing: Tensor) -> _Overlaps:
    # boxes that fill up a picture's list have no area
    own = torch.nn.utils.rnn.pad_sequence(list(boxes), batch_first=True)[:, :, None]  # (N, k, 1, 4)
    first = first[:, None]  # (N, 1, A, 4)
    height, width = valid.shape[-2:]
    areas = (own[..., 2:] - own[..., :2]).prod(dim=-1) + (first[..., 2:] - first[..., :2]).prod(dim=-1)
    return _Overlaps(_in_common(own, first, spacing, 0, width), _in_common(own, first, spacing, 1, height), areas)


def _in_common(own: Tensor, first: Tensor, spacing: Tensor, axis: int, count: int) -> Tensor:
    """How much the boxes and the anchors of each of ``count`` columns, or rows, have in common along one axis."""
    shift = torch.arange(count, device=first.device) * spacing[axis]
    low, high = (first[..., side, None] + shift for side in (axis, axis + 2))  # (N, 1, A, count)
    ends, starts = torch.minimum(high, own[..., axis + 2, None]), torch.maximum(low, own[..., axis, None])
    return (ends - starts).clamp_(min=0)


def _iou(common: Tensor, areas: Tensor) -> Tensor:
    """IoU of boxes, from the area that they have in common and the sum of their areas; ``common`` is overwritten."""
    union = areas - common
    return common.div_(union)
