"""Bringing maps of different size to one grid."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def to_grid(feat: Tensor, size: Sequence[int]) -> Tensor:
    """Resample a map (N, C, H, W) that shows the whole picture to ``size`` = (height, width) cells.

    Bilinear between cell centres; where the grid gets coarser, each new cell averages what it covers.
    """
    if tuple(feat.shape[-2:]) == tuple(size):
        return feat
    feat = feat if feat.dtype == torch.float64 else feat.float()  # there is no half-precision kernel for the CPU
    return F.interpolate(feat, size=tuple(size), mode='bilinear', align_corners=False, antialias=True)
