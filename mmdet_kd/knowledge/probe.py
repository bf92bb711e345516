"""The shapes of a detector's maps, found without its weights."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from ..backbones import picture_channels, shapes_only
from ..heads import RoIView, find_view

_PROBE_SIZE = 512  # pixels; divisible by the strides of pyramids, and enough for the last level of SSD512
_Built = TypeVar('_Built')


class MapShape(NamedTuple):
    """Channels of a map, and pixels of the picture that one cell spans."""

    channels: int
    stride: int


def on_meta(build: Callable[[], _Built]) -> _Built:
    """Call ``build`` with tensors that have shapes and no memory.

    Where something in it needs real numbers or has no kernel for the meta device (deformable convolution, say), on the
    CPU. torch's random state is the same after as before.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device('meta'):
                return build()
        except (NotImplementedError, RuntimeError):
            with torch.device('cpu'):  # also where all this is a part of something that is built on the meta device
                return build()


def network_of(detector: nn.Module) -> dict[str, nn.Module]:
    """The parts that make a detector's maps, in order: its backbone, and its neck if it has one."""
    parts = {name: getattr(detector, name, None) for name in ('backbone', 'neck')}
    return {name: part for name, part in parts.items() if part is not None}


def map_shapes(detector: nn.Module) -> dict[str, tuple[MapShape, ...]]:
    """Channels and strides of each level of the backbone, and of the neck if there is one.

    They are measured on a picture of 512 pixels, or of those that the anchors are made for (SSD): the last maps of
    SSD300 have 3 and 1 cells across 300 pixels, and 6 and 4 across 512.
    """
    size = getattr(getattr(getattr(detector, 'bbox_head', None), 'prior_generator', None), 'input_size', _PROBE_SIZE)
    parts = shapes_only(nn.ModuleDict(network_of(detector)))
    channels = picture_channels(parts['backbone'])

    def forward() -> dict[str, tuple[MapShape, ...]]:
        image = torch.zeros(1, channels, size, size)
        move_empty(parts, image.device)
        maps, shapes = image, {}
        with torch.no_grad():
            for name, part in parts.items():
                maps = part(maps)
                shapes[name] = tuple(MapShape(m.shape[1], round(size / m.shape[-1])) for m in maps)
        return shapes

    return on_meta(forward)


def mask_sizes(roi_head: nn.Module) -> list[tuple[int, int]]:
    """Height and width of the masks of each stage of a RoI head with a mask branch."""
    roi_head = shapes_only(roi_head)
    view = find_view(roi_head, RoIView)

    def forward() -> list[tuple[int, int]]:
        move_empty(roi_head, torch.zeros(0).device)
        with torch.no_grad():
            return [view.mask_size(stage) for stage in range(len(view.mask_stages))]

    return on_meta(forward)


def move_empty(module: nn.Module, device: torch.device) -> None:
    """Move a module whose numbers do not matter; on a real device, where they may be indices, they are zeros."""
    if device.type == 'meta':
        module.to(device)
        return
    module.to_empty(device=device)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.zero_()
