"""What a loss on maps may be told beside the maps."""

from typing import NamedTuple

import torch
from torch import Tensor


class Anchors(NamedTuple):
    """The student's anchors of a level, A a cell, in cells of the grid on which the two maps of the level meet.

    Every cell has the same anchors: those of the cell (x, y) lie (x, y) times ``spacing`` further than the first.
    Only anchors of cells that show a picture are meant, since the others exist by its padding alone.
    """

    first: Tensor  # of the upper left cell (1, A, 4), xyxy; (N, A, 4) where pictures of the two sides differ in size
    spacing: Tensor  # (2,), in x and y; 1 but where a network rounds its strides
    best: Tensor  # (N, k); the largest IoU of each true box with one of them; 0 where a picture has fewer than k
    best_of_all_levels: Tensor  # (N, k); the same over all compared levels


class Frame(NamedTuple):
    """Where the two maps of a level lie in the pictures. Both have one grid by then.

    A loss gets it as third argument if its class says ``needs_frame = True``, and with the anchors if it says
    ``needs_anchors = True`` as well.
    """

    boxes: list[Tensor]  # true boxes of each picture (k, 4), xyxy, in cells, not cut off at the map's border
    valid: Tensor  # (N, H, W); whether a cell shows a picture, or padding
    generator: torch.Generator  # of its own, so that the student draws the same numbers as without the loss
    anchors: Anchors | None = None
