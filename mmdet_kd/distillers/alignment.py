"""Where a cell of one side lies in the maps of the other.

The two sides see one picture on canvases of their own: another padding, and with ``student_scale`` another size. Both
count from the upper left corner. Cells beyond a picture lie in its padding.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def crop(feat: Tensor, canvas: tuple[int, int], stride: int) -> Tensor:
    """The part of a map (N, C, H, W) that shows the upper left ``canvas`` = (height, width) pixels."""
    height, width = (math.ceil(extent / stride) for extent in canvas)
    return feat[..., :height, :width]


def crop_to_common_cells(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The cells that two maps (N, C, H, W) of the same stride both have, from the upper left corner.

    Of a picture that the stride does not divide, one network has a last row or column of cells that another lacks, such
    as PVT, which rounds down.
    """
    height, width = (min(first.shape[axis], second.shape[axis]) for axis in (-2, -1))
    return first[..., :height, :width], second[..., :height, :width]


def cell_positions(size: tuple[int, int], spacing: Tensor, offset: float) -> Tensor:
    """Where the cells of a grid lie in a picture.

    Args:
        size: (height, width) of the grid.
        spacing: pixels that a cell spans in x and y, (N, 2).
        offset: of the point that is meant, in cells: 0 the upper left corner, 0.5 the centre.

    Returns:
        (N, height, width, 2), x and y in pixels.
    """
    rows, columns = (torch.arange(extent, dtype=spacing.dtype, device=spacing.device) + offset for extent in size)
    cells = torch.stack(torch.meshgrid(columns, rows, indexing='xy'), dim=-1)
    return cells * spacing[:, None, None]


def sample_map(feat: Tensor, stride: int, points: Tensor) -> Tensor:
    """The values of a map at points of its picture, bilinear between the centres of its cells.

    Args:
        feat: map (N, C, H, W).
        stride: pixels that a cell spans.
        points: (N, h, w, 2), x and y in pixels.

    Returns:
        (N, C, h, w), in single precision at least; beyond the map, its nearest cell.
    """
    feat = feat if feat.dtype == torch.float64 else feat.float()
    shares = [2 * points[..., axis] / (feat.shape[3 - axis] * stride) - 1 for axis in (0, 1)]
    grid = torch.stack(shares, dim=-1).to(feat.dtype)
    return F.grid_sample(feat, grid, padding_mode='border', align_corners=False)
