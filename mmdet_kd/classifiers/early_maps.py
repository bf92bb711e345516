"""What the early layers of a network make of pictures."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

#: The name of the layer before all others: the pictures themselves.
PIXELS = 'pixels'


class EarlyLayer(NamedTuple):
    """A layer that is asked for its map.

    Args:
        name: of a module, e.g. ``'backbone.maxpool'``, or :data:`PIXELS`.
        size: to which its map is averaged, cells.
    """

    name: str
    size: int


class _Enough(Exception):
    """Raised when the last layer that is asked for has answered; what follows need not be computed."""


def early_maps(network: nn.Module, pictures: Tensor, layers: Sequence[EarlyLayer]) -> list[Tensor]:
    """Run a network as far as the layers lie, and average their maps.

    Args:
        network: called with the pictures.
        pictures: (K, M, H, W).
        layers: the modules are named as ``network`` names its own; each is called once, and returns a map.

    Returns:
        Of each layer (K, M, size, size).

    Raises:
        ValueError: a layer was not called, or its result is not a map.
    """
    found: dict[EarlyLayer, Tensor] = {
        layer: F.adaptive_avg_pool2d(pictures, layer.size) for layer in layers if layer.name == PIXELS
    }
    with ExitStack() as stack:
        for layer in layers:
            if layer.name != PIXELS:
                # Averaged at once: an activation that follows may work in place.
                def keep(module: nn.Module, _: Any, result: Any, layer: EarlyLayer = layer) -> None:
                    if not isinstance(result, Tensor) or result.dim() != 4:
                        raise ValueError(f'layer {layer.name} ({type(module).__name__}) does not return one map')
                    found[layer] = F.adaptive_avg_pool2d(result, layer.size)
                    if len(found) == len(set(layers)):
                        raise _Enough

                stack.callback(network.get_submodule(layer.name).register_forward_hook(keep).remove)
        if len(found) < len(set(layers)):
            with suppress(_Enough):
                network(pictures)
    missing = [layer.name for layer in layers if layer not in found]
    if missing:
        raise ValueError(f'layer {", ".join(missing)} is not called on the way')
    return [found[layer] for layer in layers]
