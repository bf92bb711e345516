"""The config of a decomposed network: any part of a model, with the ranks of its layers beside its own keys."""

import difflib
from collections.abc import Mapping
from typing import Any

import mmcv.cnn
from mmcv.cnn.bricks import wrappers
from mmdet.registry import MODELS
from torch import nn

from ..errors import DistillationError, raise_if_any
from ..export import DECOMPOSED
from .layers import Ranks, layer_like

#: The layers that can be decomposed. Their subclasses compute something else: standardised weights, say.
CONVOLUTIONS = (nn.Conv2d, wrappers.Conv2d)
LINEARS = (nn.Linear, mmcv.cnn.Linear)


@MODELS.register_module(name=DECOMPOSED)
def build_decomposed(of: str | type, layers: Mapping[str, Ranks], **kwargs: Any) -> nn.Module:
    """Build what ``of`` names, with some of its layers decomposed.

    ``dict(type='ResNet', depth=18)`` becomes ``dict(type='Decomposed', of='ResNet', layers={...}, depth=18)``; every
    other key keeps its place. The module itself is returned, so its weights have the names that they always had, but
    for those of the decomposed layers.

    Args:
        of: the `type` of the original.
        layers: name inside the module -> ranks; see :data:`~mmdet_kd.compression.layers.Ranks`.
        **kwargs: the other keys of the original.

    Raises:
        DistillationError: ``layers`` does not fit the module; lists all that does not.
    """
    module = MODELS.build(dict(type=of, **kwargs))
    try:
        replace_layers(module, layers)
    except DistillationError as error:
        kind = of if isinstance(of, str) else of.__name__
        raise DistillationError([f'layers of the decomposed {kind}: {problem}' for problem in error.problems]) from None
    return module


def replace_layers(module: nn.Module, layers: Mapping[str, Ranks]) -> None:
    """Put untrained layers of the given ranks at the places of convolutions and linear layers.

    Args:
        module: is changed.
        layers: name inside the module -> ranks.

    Raises:
        DistillationError: as :func:`check_layers`; nothing is replaced.
    """
    check_layers(module, layers)
    for name, ranks in layers.items():
        module.set_submodule(name, layer_like(module.get_submodule(name), ranks))


def check_layers(module: nn.Module, layers: Mapping[str, Ranks]) -> None:
    """Check that layers of a module can be decomposed with the given ranks.

    Raises:
        DistillationError: a layer does not exist, cannot be decomposed, or has fewer channels than the ranks say;
            lists all such.
    """
    if not isinstance(layers, Mapping):
        raise DistillationError(
            [f'must be a dict of names and ranks, as tools/tucker_decompose.py writes it, not {layers!r}']
        )
    found = dict(module.named_modules())
    raise_if_any([problem for name, ranks in layers.items() for problem in _problems(name, ranks, found)])


def channels(module: nn.Conv2d | nn.Linear) -> tuple[int, int]:
    """Input and output channels of a layer, of each group: its full ranks."""
    if isinstance(module, nn.Conv2d):
        return module.in_channels // module.groups, module.out_channels // module.groups
    return module.in_features, module.out_features


def _problems(name: str, ranks: Any, found: Mapping[str, nn.Module]) -> list[str]:
    if name not in found or not name:
        close = difflib.get_close_matches(name, found, 3)
        return [
            f'there is no {name!r}' + (f'; did you mean {" or ".join(map(repr, close))}?' if close else '. Remove it')
        ]
    module = found[name]
    if type(module) not in (*CONVOLUTIONS, *LINEARS):
        return [f'{name!r} is a {type(module).__name__}, neither a plain convolution nor a linear layer. Remove it']
    full = channels(module)
    if type(module) in LINEARS:
        if not _is_rank(ranks):
            return [f'{name!r} is a linear layer, its rank is one positive number, not {ranks!r}']
        if ranks > min(full):
            return [f'{name!r} has rank {ranks}, more than its {min(full)} features: lower it, or remove the layer']
        return []
    if not (isinstance(ranks, (tuple, list)) and len(ranks) == 2 and all(map(_is_rank, ranks))):
        return [f'{name!r} is a convolution, its ranks are two positive numbers (input, output), not {ranks!r}']
    return [
        f'{name!r} has {side} rank {rank}, more than its {limit} channels{" a group" if module.groups > 1 else ""}: '
        'lower it, or remove the layer'
        for side, rank, limit in zip(('input', 'output'), ranks, full, strict=True)
        if rank > limit
    ]


def _is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
