"""Names in a config that nobody knows: where they stand, and the nearest that are known."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from mmengine.registry import Registry

#: Of :func:`difflib.get_close_matches`, whose own 0.6 finds `roi_head` for `bbox_head`.
_NEAR = 0.72
_MOST_NEAR = 3
_PACKAGE = __name__.partition('.')[0]
_IMPORT = "A class of your own needs custom_imports=dict(imports=['its.module'])"
#: Keys that mmengine takes out of a config before it calls the class.
_MMENGINES = ('type', '_scope_')


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant by an unknown name, as a sentence.

    Args:
        name: that is not known.
        known: names, of which the nearest are said; all where none is near.
    """
    known = sorted(known)
    near = near_names(name, known)
    if near:
        return f'Did you mean {" or ".join(near)}?'
    return f'Known are {", ".join(known)}'


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The names that are most like one that is not known, the nearest first; none if nothing is near."""
    return get_close_matches(str(name), list(known), n=_MOST_NEAR, cutoff=_NEAR)


def some(names: Collection[str], most: int = 3) -> str:
    """The first few names, and the number of the others."""
    shown = list(names)[:most]
    more = f' and {len(names) - len(shown)} more' if len(names) > len(shown) else ''
    return ', '.join(shown) + more


def constructor_keys(kind: type, required: bool = False) -> set[str]:
    """The names of what a class takes, those included that it hands on to its bases by ``**kwargs``.

    Args:
        kind: the class.
        required: only those without a default.
    """
    keys: set[str] = set()
    for base in kind.__mro__:
        if '__init__' not in vars(base):
            continue
        _, *parameters = inspect.signature(base.__init__).parameters.values()  # the first is self
        starred = {each.kind: each.name for each in parameters if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
        named = [each for each in parameters if each.kind not in starred]
        keys |= {each.name for each in named if not required or each.default is each.empty}
        if inspect.Parameter.VAR_KEYWORD not in starred:
            break
    return keys


def key_problems(kind: Callable, keys: Iterable[str], besides: Iterable[str] = (), filled: str = '') -> list[str]:
    """The keys beside ``type`` that a class does not take; none where it takes any.

    Args:
        kind: a class or a function that a config names.
        keys: of the config.
        besides: keys that somebody takes out before the class is called.
        filled: a parameter that the config cannot give.
    """
    parameters = inspect.signature(kind).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return []
    known = [*(name for name in parameters if name != filled), *besides]
    return [
        f'{kind.__name__} has no {key!r}. {nearest(key, known)}' for key in keys if key not in (*_MMENGINES, *known)
    ]


def part_problems(where: str, cfg: Any, registry: Registry, besides: Iterable[str] = (), like: str = '') -> list[str]:
    """What in the config of a part forbids that it is built: no ``type``, one that nobody knows, or unknown keys.

    Args:
        where: in the config it stands.
        cfg: ``dict(type=..., ...)``.
        registry: that knows the types.
        besides: as in :func:`key_problems`.
        like: part of the names of this package's classes that could stand there, which are listed if no name is near.
    """
    ours = f'. This package has {", ".join(_ours(registry, like))}' if like else ''
    if not isinstance(cfg, Mapping) or 'type' not in cfg:
        given = f'dict({", ".join(map(str, cfg))})' if isinstance(cfg, Mapping) else repr(cfg)
        return [f'{where} must be dict(type=...), not {given}{ours}']
    kind = cfg['type']
    found = registry.get(kind) if isinstance(kind, str) else kind
    if found is not None:
        return [f'{where}: {problem}' for problem in key_problems(found, cfg, besides)]
    near = near_names(kind, {*registry.module_dict, *(registry.parent.module_dict if registry.parent else ())})
    cure = f'. Did you mean {" or ".join(near)}?' if near else f'{ours}. {_IMPORT}'
    return [f'{where}: there is no type {kind!r}{cure}']


def _ours(registry: Registry, like: str) -> list[str]:
    """The names of this package's classes that have something in their name."""
    return sorted(
        name
        for name, kind in registry.module_dict.items()
        if kind.__module__.partition('.')[0] == _PACKAGE and like in name
    )
