"""One batch, seen by each side in its own way."""

from typing import Any

from torch import nn

from ..errors import DistillationError
from ..teachers import LoadedPictures
from .student_view import shrink


class TwoViews:
    """A forward pre-hook of the student's preprocessor that keeps each training batch for the teacher.

    The student goes on with the batch as it is, or smaller.

    Args:
        student_scale: size of the student's pictures relative to the loaded ones; None: the same.
    """

    def __init__(self, student_scale: float | None) -> None:
        self._scale = student_scale
        self._loaded: LoadedPictures | None = None

    def __call__(self, preprocessor: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Keep the pictures of ``arguments[0]``; returns what the preprocessor is to see instead, if anything."""
        if not preprocessor.training:
            return None
        data, *others = arguments
        if self._scale is None:
            self._loaded = LoadedPictures(data['inputs'], None)
            return None
        data = preprocessor.cast_data(data)  # on the device, where shrinking costs little
        smaller, ratios = shrink(data, self._scale)
        self._loaded = LoadedPictures(data['inputs'], ratios)
        return smaller, *others

    def take(self) -> LoadedPictures:
        """Hand out the pictures of the batch at hand, once; nothing is held after.

        Raises:
            RuntimeError: there is no such batch.
        """
        loaded, self._loaded = self._loaded, None
        if loaded is None:
            raise RuntimeError(
                'the teacher sees the pictures otherwise than the student and needs them as they were loaded: pass the '
                'batch through train_step() or data_preprocessor(), not a tensor to loss()'
            )
        return loaded


def check_student_scale(student_scale: object) -> None:
    """Refuse what is no size between nothing and the whole."""
    if student_scale is None or (isinstance(student_scale, float) and 0 < student_scale < 1):
        return
    raise DistillationError(
        [
            f"student_scale is the size of the student's pictures relative to the loaded ones, between 0 and 1, not "
            f'{student_scale!r}. The pipeline loads at the size of the teacher; leave it out if both see the same'
        ]
    )
