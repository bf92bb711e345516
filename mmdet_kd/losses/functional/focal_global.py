"""Comparing maps inside and outside of the objects."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .shapes import check_same_shape

_FAR = 1e6  # cells


def focal_masks(boxes: Sequence[Tensor], valid: Tensor) -> tuple[Tensor, Tensor]:
    r"""What each cell counts as a part of an object, and as a part of the background.

    A box covers the cells from floor(x1, y1) to ceil(x2, y2), that one included; h and w count them before they are cut
    off at the border. A cell of several boxes has the value of the smallest, max 1 / (h w). The background is what no
    box covers and no padding, divided by its number of cells.

    Args:
        boxes: of each picture (k, 4), xyxy, in cells.
        valid: which cells show a picture (N, H, W).

    Returns:
        Two masks (N, 1, H, W).

    Source: Yang et al., CVPR 2022 (FGD), equations 5 and 6.
    Differs: padding is no background.
    """
    height, width = valid.shape[-2:]
    device = valid.device
    rows, columns = (torch.arange(extent, device=device) for extent in (height, width))
    # boxes that fill up a picture's list lie far beyond every map
    own = torch.nn.utils.rnn.pad_sequence(list(boxes), batch_first=True, padding_value=_FAR)
    first, last = own[..., :2].floor(), own[..., 2:].ceil()
    inside_x = (columns >= first[..., :1]) & (columns <= last[..., :1])  # (N, k, W)
    inside_y = (rows >= first[..., 1:]) & (rows <= last[..., 1:])  # (N, k, H)
    value = (inside_y[..., None] & inside_x[..., None, :]) / (last - first + 1).prod(dim=-1)[..., None, None]
    foreground = F.pad(value, (0, 0, 0, 0, 0, 1)).amax(dim=1, keepdim=True)  # where no box is: 0
    background = ((foreground == 0) & valid[:, None]).to(foreground.dtype)
    return foreground, background / background.sum(dim=(2, 3), keepdim=True).clamp(min=1)


def focal_loss(
    feat_s: Tensor, feat_t: Tensor, foreground: Tensor, background: Tensor, attention_t: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    r"""Distances of two maps inside the objects and outside of them, where the teacher looks.

    .. math:: L_{fg} = \frac{1}{N} \sum M_{fg} A^s_t A^c_t (F_t - F_s)^2

    and the same with the mask of the background.

    Args:
        feat_s: adapted student map (N, C, H, W); receives gradient.
        feat_t: teacher map, the same shape; constant.
        foreground: mask (N, 1, H, W).
        background: mask, the same shape.
        attention_t: attention of the teacher, see :func:`attention`; constant.

    Returns:
        Two scalars: of the foreground and of the background.

    Raises:
        ValueError: the shapes differ.

    Source: Yang et al., CVPR 2022 (FGD), equations 7 and 8.
    """
    check_same_shape(feat_s, feat_t)
    spatial, channel = attention_t
    squares = channel * F.mse_loss(feat_s, feat_t.detach(), reduction='none')
    distance = spatial * squares.sum(dim=1, keepdim=True)
    images = max(len(feat_s), 1)
    return (foreground * distance).sum() / images, (background * distance).sum() / images


def attention_loss(attention_s: tuple[Tensor, Tensor], attention_t: tuple[Tensor, Tensor]) -> Tensor:
    r"""How differently two networks look, :math:`\sum |A_s - A_t| / N` over channels and over places.

    Args:
        attention_s: attention of the student, of the places (N, 1, H, W) and the channels (N, C, 1, 1), see
            :func:`attention`; receives gradient.
        attention_t: attention of the teacher, the same shapes; constant.

    Returns:
        A scalar.

    Source: Yang et al., CVPR 2022 (FGD), equation 9.
    """
    (places_s, channels_s), (places_t, channels_t) = attention_s, attention_t
    total = (places_s - places_t).abs().sum() + (channels_s - channels_t).abs().sum()
    return total / max(len(places_s), 1)
