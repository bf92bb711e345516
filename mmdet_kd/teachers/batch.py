"""A batch of a training step, as teachers may want to see it."""

from typing import NamedTuple

from torch import Tensor

from ..knowledge import Truth


class LoadedPictures(NamedTuple):
    """The pictures of a batch before any preprocessing."""

    pictures: list[Tensor] | Tensor  # (3, H, W) each
    ratios: Tensor | None  # how many of their pixels one of the student's spans in x and y, (N, 2); None: one


class Batch(NamedTuple):
    """What there is to see."""

    images: Tensor  # the student's normalised batch (N, 3, H, W)
    truth: Truth  # the boxes that it learns, in its pixels
    loaded: LoadedPictures | None  # None where every teacher sees what the student sees
