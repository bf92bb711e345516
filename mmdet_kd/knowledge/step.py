"""What is known of a training step beside what the two sides make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from torch import Tensor

from ..heads import Truth

Side = Literal['student', 'teacher']


@dataclass(frozen=True)
class Step:
    """The truth, the pictures and the place in the training; handed to every distiller.

    Each side sees a canvas of its own: the pictures of the batch, padded to one size. Both count from the upper left
    corner. With ``student_scale`` the student's pictures are smaller than the teacher's.

    Args:
        truth: true boxes and labels of each picture; xyxy, in the student's pixels.
        img_shapes: height and width of each of the student's pictures without its padding, pixels.
        canvas: height and width of the student's padded batch, pixels.
        teacher_canvas: of the teacher's.
        ratios: how many of the teacher's pixels one of the student's spans in x and y, (N, 2); None where both see the
            same.
        iteration: that the training is in; 0 outside of one.
        epoch: that it is in.
        seed: of the run.
    """

    truth: Truth
    img_shapes: Sequence[tuple[int, int]]
    canvas: tuple[int, int]
    teacher_canvas: tuple[int, int]
    ratios: Tensor | None = None
    iteration: int = 0
    epoch: int = 0
    seed: int = 0

    def picture_sizes(self, device: torch.device) -> Tensor:
        """Height and width of each of the student's pictures without its padding, (N, 2), pixels."""
        return torch.stack([torch.stack([_fill(n, device) for n in shape]) for shape in self.img_shapes])

    def boxes(self, side: Side) -> list[Tensor]:
        """The true boxes of each picture (k, 4), in the pixels of one side."""
        if side == 'student' or self.ratios is None:
            return self.truth.boxes
        return [
            boxes * ratio.repeat(2).to(boxes.dtype) for boxes, ratio in zip(self.truth.boxes, self.ratios, strict=True)
        ]

    def boxes_on(self, stride: int, side: Side) -> list[Tensor]:
        """The true boxes of each picture (k, 4), in cells of a map of one side.

        Args:
            stride: pixels that a cell of the map spans.
            side: whose map it is.
        """
        return [boxes / stride for boxes in self.boxes(side)]

    def valid(self, size: tuple[int, int], stride: int, side: Side, device: torch.device) -> Tensor:
        """Which cells of a map show a picture, (N, height, width): those whose upper left corner lies in it.

        Args:
            size: (height, width) of the map.
            stride: pixels that a cell of it spans.
            side: whose map it is.
            device: where the answer is wanted.
        """
        rows, columns = (torch.arange(extent, device=device) * stride for extent in size)
        shapes = self.picture_sizes(device)
        if side == 'teacher' and self.ratios is not None:
            shapes = (shapes * self.ratios.flip(1)).round()  # ratios are of x and y, shapes of height and width
        return (rows[None, :, None] < shapes[:, 0, None, None]) & (columns[None, None] < shapes[:, 1, None, None])

    def generator(self, device: torch.device, *key: int) -> torch.Generator:
        """A generator of random numbers of its own, so that the student draws the same numbers as without it.

        Its numbers depend on the run's seed, the rank, the iteration and the key alone: a resumed run draws the same.

        Args:
            device: on which numbers will be drawn.
            key: tells apart what draws in one step, such as the levels.
        """
        sequence = np.random.SeedSequence([self.seed, get_rank(), self.iteration, *key])
        return torch.Generator(device).manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def progress() -> dict[str, int]:
    """Iteration, epoch and seed of the run that is going on, as mmengine's hooks noted them; 0 where none is."""
    hub = MessageHub.get_current_instance()
    names = {'iteration': 'iter', 'epoch': 'epoch', 'seed': 'seed'}
    return {name: int(hub.get_info(noted, 0) or 0) for name, noted in names.items()}


class Epochs(NamedTuple):
    """Where a training is."""

    epoch: int  # that it is in, counted from 0
    of: int  # how many it has


def epochs() -> Epochs | None:
    """The epoch of the training that is going on, as mmengine's RuntimeInfoHook noted it; None where none is."""
    hub = MessageHub.get_current_instance()
    if hub.get_info('loop_stage') != 'train':  # what a training noted that has ended is still there
        return None
    return Epochs(int(hub.get_info('epoch')), int(hub.get_info('max_epochs')))


def _fill(number: float, device: torch.device) -> Tensor:
    """A number of the host, filled on the device: a copy would wait for it."""
    return torch.full((), float(number), device=device)
