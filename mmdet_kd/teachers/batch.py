"""A batch of a training step, as teachers may want to see it."""

from typing import NamedTuple

from mmdet.structures import SampleList
from torch import Tensor

from ..heads import Truth
from ..knowledge import Step, progress


class LoadedPictures(NamedTuple):
    """The pictures of a batch before any preprocessing."""

    pictures: list[Tensor] | Tensor  # (3, H, W) each
    ratios: Tensor | None  # how many of their pixels one of the student's spans in x and y, (N, 2); None: one


class Batch(NamedTuple):
    """What there is to see."""

    images: Tensor  # the student's normalised batch (N, 3, H, W)
    truth: Truth  # the boxes that it learns, in its pixels
    img_shapes: list[tuple[int, int]]  # height and width of each picture without its padding, in its pixels
    loaded: LoadedPictures | None  # None where every teacher sees what the student sees
    copies: int = 1  # how many maps of each picture the student has, in its training

    @classmethod
    def of(cls, images: Tensor, samples: SampleList, loaded: LoadedPictures | None, copies: int = 1) -> 'Batch':
        """The batch that a detector's ``loss()`` is given."""
        shapes = [tuple(sample.img_shape[:2]) for sample in samples]
        return cls(images, Truth.of(samples), shapes, loaded, copies)

    def step(self, teacher_canvas: tuple[int, int], ratios: Tensor | None) -> Step:
        """The step, for distillers that learn from a teacher which sees this canvas, in this ratio."""
        canvas = tuple(self.images.shape[-2:])
        return Step(self.repeated_truth, self.img_shapes * self.copies, canvas, teacher_canvas, ratios, **progress())

    @property
    def repeated_truth(self) -> Truth:
        """The truth of each map that the student has of a level."""
        return Truth(self.truth.boxes * self.copies, self.truth.labels * self.copies)
