"""What a loss on maps may be told beside the maps."""

from typing import NamedTuple

import torch
from torch import Tensor


class Frame(NamedTuple):
    """Where the two maps of a level lie in the pictures. Both have one grid by then.

    A loss gets it as third argument if its class says ``needs_frame = True``.
    """

    boxes: list[Tensor]  # true boxes of each picture (k, 4), xyxy, in cells, not cut off at the map's border
    valid: Tensor  # (N, H, W); whether a cell shows a picture, or padding
    generator: torch.Generator  # of its own, so that the student draws the same numbers as without the loss
