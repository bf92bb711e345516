"""What the networks before residual ones have in common: a chain of layers, and one map."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mmengine.model import BaseModule
from torch import Tensor, nn

from .pretrained import whole_weights


class Conv(NamedTuple):
    """A convolution and its ReLU, as a line of a network's table.

    The padding is half the kernel, so that a cell of the map lies over the first of the pixels that it replaces.
    """

    out_channels: int
    kernel: int
    stride: int = 1
    groups: int = 1


class ConvStack(BaseModule):
    """A backbone of convolutions one after another that returns its last map.

    The modules are numbered through in ``features``, as torchvision numbers them.

    Args:
        layers: the table: a :class:`Conv`, or a function that makes another module.
        frozen_stages: how many stages keep their weights, from the first; a stage ends with a pooling layer. Wants
            pretrained weights.
        init_cfg: mmengine's. ``dict(type='Pretrained', checkpoint=...)`` must bring every convolution.

    Raises:
        DistillationError: in ``init_weights``, if the checkpoint cannot be read or lacks a convolution.
    """

    def __init__(
        self,
        layers: Sequence[Conv | Callable[[], nn.Module]],
        frozen_stages: int = 0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='Kaiming', layer='Conv2d'))
        self.features = nn.Sequential(*_build(layers))
        self._freeze(frozen_stages)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """The map (N, C, ceil(H / 16), ceil(W / 16)) of a batch (N, 3, H, W)."""
        return (self.features(images),)

    def init_weights(self) -> None:
        """Initialise as mmengine does, and check that a checkpoint brought all that it should."""
        with whole_weights(self, 'features'):
            super().init_weights()

    def _freeze(self, stages: int) -> None:
        stage = 1
        for module in self.features:
            if stage > stages:
                return
            module.requires_grad_(False)
            stage += isinstance(module, nn.MaxPool2d)


def _build(layers: Sequence[Conv | Callable[[], nn.Module]]) -> list[nn.Module]:
    modules: list[nn.Module] = []
    channels = 3
    for layer in layers:
        if isinstance(layer, Conv):
            out_channels, kernel, stride, groups = layer
            modules.append(nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2, groups=groups))
            modules.append(nn.ReLU(inplace=True))
            channels = out_channels
        else:
            modules.append(layer())
    return modules
