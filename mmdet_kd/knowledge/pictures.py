"""Which pictures a detector can take."""

import math
from typing import NamedTuple

import torch
from torch import nn

from ..backbones import picture_channels, shapes_only
from .probe import move_empty, network_of, on_meta

_SMALLEST, _LARGEST = 384, 512  # pixels; divisible by the strides of pyramids, and enough for the last levels of SSD


class Need(NamedTuple):
    """The padding that a network needs."""

    divisor: int  # of the heights and widths of all canvases
    error: str  # what the network says on a canvas that its present padding allows
    canvas: tuple[int, int]  # height and width of that canvas


def needed_padding(detector: nn.Module) -> Need | None:
    """Whether the backbone and the neck fail on some canvas that the padding of the detector allows.

    A network that adds maps of several strides needs a canvas that these divide. Its pictures are padded to a multiple
    of ``pad_size_divisor``; sizes just above and just below a multiple of all strides are tried, on the meta device.

    Args:
        detector: that is asked; it may lie on the meta device.

    Returns:
        The divisor that it needs, a multiple of its own; None where its own serves. Where ``batch_augments`` choose the
        canvas, nothing is known of it.
    """
    preprocessor = detector.data_preprocessor
    divisor = getattr(preprocessor, 'pad_size_divisor', 1)
    if getattr(preprocessor, 'batch_augments', None):
        return None
    canvas = (_SMALLEST // divisor + 1) * divisor, max(1, (_LARGEST - 1) // divisor) * divisor
    error = _error_on(detector, *canvas)
    if error is None or _error_on(detector, _SMALLEST, _LARGEST) is not None:  # or else it is not for the canvas
        return None
    serves = next(wanted for wanted in (32, 64, 128) if wanted == 128 or not _fails_with(detector, wanted))
    return Need(math.lcm(divisor, serves), error, canvas)


def canvas_problems(name: str, detector: nn.Module) -> list[str]:
    """The problem with its cure, if a detector cannot take every picture that its padding allows.

    Args:
        name: of the detector, for messages.
        detector: that is asked; it may lie on the meta device.
    """
    need = needed_padding(detector)
    if need is None:
        return []
    height, width = need.canvas
    divisor = getattr(detector.data_preprocessor, 'pad_size_divisor', 1)
    return [
        f"the {name}'s backbone and neck cannot take every picture that its pad_size_divisor={divisor} allows, such as "
        f'one of {width}x{height} pixels ({need.error}): set data_preprocessor.pad_size_divisor={need.divisor} in its '
        'config'
    ]


def _fails_with(detector: nn.Module, divisor: int) -> bool:
    return _error_on(detector, _SMALLEST + divisor, _LARGEST - divisor) is not None


def _error_on(detector: nn.Module, height: int, width: int) -> str | None:
    """What a canvas makes the backbone and the neck say that they cannot do; None where they can."""
    parts = shapes_only(nn.ModuleDict(network_of(detector)))

    @torch.no_grad()
    def forward() -> None:
        maps = torch.zeros(1, picture_channels(detector.backbone), height, width)
        move_empty(parts, maps.device)
        for part in parts.values():
            maps = part(maps)

    try:
        on_meta(forward)
    except Exception as error:  # whatever a network raises of its own
        return f'{type(error).__name__}: {error}'
    return None
