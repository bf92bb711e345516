"""Distillation losses compute in single precision, also under autocast."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor

Forward = TypeVar('Forward', bound=Callable[..., Tensor])


def _widen(value: object) -> object:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value


def in_full_precision(forward: Forward) -> Forward:
    """Decorate a loss's ``forward``: half-precision arguments are widened, and autocast is off inside.

    Sums of squares and exponentials over a feature map overflow in half precision.
    """

    @wraps(forward)
    def wrapped(self: torch.nn.Module, *args: object, **kwargs: object) -> Tensor:
        device_type = next(a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)).device.type
        # The meta device, where only shapes are computed, knows no autocast.
        with nullcontext() if device_type == 'meta' else torch.autocast(device_type, enabled=False):
            return forward(self, *map(_widen, args), **{k: _widen(v) for k, v in kwargs.items()})

    return wrapped  # type: ignore[return-value]


def widen_arguments(
    loss: torch.nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """A forward pre-hook that widens half-precision arguments, for losses that are not decorated, such as mmdet's."""
    del loss
    return tuple(map(_widen, args)), {k: _widen(v) for k, v in kwargs.items()}
