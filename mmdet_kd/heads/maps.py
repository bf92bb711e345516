"""Maps of a head, a level each, and their rows, a prior each."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def rows_of(maps: Sequence[Tensor], channels: int) -> Tensor:
    """Maps (N, A * channels, H, W), a level each, as rows (N, M, channels) in the order of the priors."""
    return torch.cat([m.permute(0, 2, 3, 1).reshape(len(m), -1, channels) for m in maps], dim=1)


def sizes_of(maps: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Heights and widths of maps."""
    return [tuple(m.shape[-2:]) for m in maps]


def fit(maps: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Maps brought to other heights and widths: cropped or filled up with zeros, at the lower right."""
    return [
        F.pad(m, (0, width - m.shape[-1], 0, height - m.shape[-2]))  # a negative width crops
        for m, (height, width) in zip(maps, sizes, strict=True)
    ]


def which_fit(maps: Sequence[Tensor], sizes: Sequence[tuple[int, int]], channels: int) -> Tensor:
    """Which priors (N, M) of grids of these sizes have an output in maps of ``channels`` a prior; as 0 and 1."""
    return rows_of(fit([torch.ones_like(m) for m in maps], sizes), channels)[..., 0]
