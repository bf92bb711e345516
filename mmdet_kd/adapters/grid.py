"""Bringing maps of different size to one grid."""

import torch.nn.functional as F
from torch import Tensor


def to_grid(feat: Tensor, like: Tensor) -> Tensor:
    """Resample a map (N, C, H, W) to the height and width of ``like``; both show the same picture.

    Bilinear between cell centres; where the grid gets coarser, each new cell averages what it covers.
    """
    size = like.shape[-2:]
    if feat.shape[-2:] == size:
        return feat
    return F.interpolate(feat, size=size, mode='bilinear', align_corners=False, antialias=True)
