"""Ranks in the config of a model: written, read, and as a fragment."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import ConfigDict
from torch import nn

from ..errors import DistillationError
from ..export import DECOMPOSED
from .layers import Ranks


def decomposed_model(model: dict, detector: nn.Module, layers: Mapping[str, Ranks]) -> ConfigDict:
    """The config of a model with some of its layers decomposed.

    Each layer's ranks go to the innermost part of the config that builds a module around it: the backbone, the neck,
    the box head of a stage.

    Args:
        model: the plain config; it is not changed.
        detector: what it builds.
        layers: name in the detector -> ranks.

    Raises:
        DistillationError: a part has keys of its own under the names that its ranks need.
    """
    model = ConfigDict(copy.deepcopy(model))
    for name, ranks in layers.items():
        part, inside = _innermost_part(model, detector, name)
        if part['type'] != DECOMPOSED:
            taken = [key for key in ('of', 'layers') if key in part]
            if taken:
                raise DistillationError(
                    [
                        f'{part["type"]} has a key {taken[0]!r} of its own, under which a decomposed part has other '
                        f'things: leave its layers out by --skip, such as {name}'
                    ]
                )
            part.update(type=DECOMPOSED, of=part['type'], layers={})
        part['layers'][inside] = ranks
    return model


def ranks_of_model(model: Any, prefix: str = '') -> dict[str, Ranks]:
    """Name in the detector -> ranks, of every decomposed layer that a model's config names."""
    ranks: dict[str, Ranks] = {}
    if isinstance(model, dict) and model.get('type') == DECOMPOSED:
        ranks = {
            prefix + name: tuple(value) if isinstance(value, list) else value for name, value in model['layers'].items()
        }
    for key, value in _parts(model):
        ranks |= ranks_of_model(value, f'{prefix}{key}.')
    return ranks


def changes(before: Any, after: Any) -> Any:
    """What a config that inherits ``before`` must say to become ``after``; lists are said whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        return {key: changes(before.get(key), value) for key, value in after.items() if value != before.get(key)}
    return after


def _innermost_part(model: dict, detector: nn.Module, name: str) -> tuple[dict, str]:
    """The config that builds the module around a layer, and the layer's name inside that module."""
    part, module, inside = model, detector, name
    found = part, inside
    while '.' in inside:
        key, _, inside = inside.partition('.')
        part = part[int(key)] if isinstance(part, (list, tuple)) else part.get(key)
        module = module.get_submodule(key)
        if isinstance(part, dict) and 'type' in part and not isinstance(module, nn.ModuleList):
            found = part, inside
        elif not (isinstance(part, (list, tuple)) and isinstance(module, nn.ModuleList)):
            break  # one config for all of a list of modules, or no config of its own
    return found


def _parts(model: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(model, dict):
        yield from ((key, value) for key, value in model.items() if key != 'layers')
    elif isinstance(model, (list, tuple)):
        yield from enumerate(model)
