"""The distillers of a detector, each with the pair that it compares."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

import torch
from mmdet.registry import MODELS
from torch import nn

from ..distillers import STOP_KEYS, BaseDistiller, ModelPair, stop_of
from ..errors import DistillationError, raise_if_any
from ..teachers import BaseTeacher
from ..unknown_names import key_problems, near_names, part_problems
from .teachers_by_name import teacher_of

#: Keys of a distiller of any class, which its constructor is not given.
_OF_ANY = ('teacher', *STOP_KEYS)


def build_distillers(
    configs: Mapping[str, dict | None] | None, teachers: Mapping[str, BaseTeacher], pairs: Mapping[str, ModelPair]
) -> tuple[nn.ModuleDict, dict[str, str]]:
    """Build the distillers of a detector.

    Args:
        configs: name -> config of a distiller. None as a config leaves an inherited one out.
        teachers: name -> teacher.
        pairs: name of a teacher -> the student and that teacher.

    Returns:
        The distillers, and for each the name of the teacher that it learns from.

    Raises:
        DistillationError: there is none; some do not fit their pair, or find no teacher; or a teacher teaches nobody.
    """
    if not isinstance(configs, Mapping) or all(cfg is None for cfg in configs.values()):
        raise_if_any([f'distillers is {configs!r}: nothing would be distilled. Write dict(name=dict(type=...), ...)'])
    distillers, learns_from, problems = nn.ModuleDict(), {}, []
    with torch.random.fork_rng(devices=[]):  # adapters draw no numbers that the student would draw without them
        for name, cfg in configs.items():
            if cfg is None:
                continue
            try:
                kind = _class_of(cfg)
                learns_from[name] = teacher_of(cfg.get('teacher'), kind.learns_from, teachers)
                distillers[_checked_name(name)] = _build(kind, cfg, pairs[learns_from[name]])
            except DistillationError as error:
                problems += [f'distillers.{name}: {problem}' for problem in error.problems]
    raise_if_any(problems)
    raise_if_any(
        [
            f'teachers.{name}: no distiller learns from it; leave it out, or add a distiller'
            for name in teachers
            if name not in learns_from.values()
        ]
    )
    return distillers, learns_from


def _checked_name(name: str) -> str:
    # A cascade logs its losses as s0.loss_cls, a DETR as d0.loss_cls; the rest are names that a ModuleDict has taken.
    if '.' in name or hasattr(nn.ModuleDict, name) or re.fullmatch(r'[sd]\d+', name):
        raise DistillationError(['this name is taken; choose another, without a dot'])
    return name


def _class_of(cfg: Any) -> type[BaseDistiller]:
    if not isinstance(cfg, Mapping):
        raise DistillationError([f'must be dict(type=...), not {cfg!r}'])
    kind = cfg.get('type')
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    if _is_distiller(found):
        return found
    package = __name__.partition('.')[0] + '.'
    ours = [
        name
        for name, module in MODELS.module_dict.items()
        if module.__module__.startswith(package) and _is_distiller(module)
    ]
    near = near_names(kind, ours) if isinstance(kind, str) else []
    cure = f'Did you mean {" or ".join(near)}?' if near else f'This package has {", ".join(sorted(ours))}'
    raise DistillationError([f'{kind!r} is not a distiller. {cure}'])


def _is_distiller(found: object) -> bool:
    return inspect.isclass(found) and issubclass(found, BaseDistiller)


def _name_problems(kind: type[BaseDistiller], cfg: Mapping[str, Any]) -> list[str]:
    """The keys and types that nobody knows, in the config of a distiller and in those of its losses and adapters."""
    problems = key_problems(kind, cfg, besides=_OF_ANY, filled='pair')
    for key, part in cfg.items():
        like = 'Adapter' if key.endswith('adapter') else 'Loss' if re.fullmatch('loss(_(?!weight).*)?', key) else None
        if like is not None and isinstance(part, Mapping):
            problems += part_problems(key, part, MODELS, like=like)
    return problems


def _build(kind: type[BaseDistiller], cfg: Mapping[str, Any], pair: ModelPair) -> BaseDistiller:
    raise_if_any(_name_problems(kind, cfg))
    stop = stop_of(cfg)
    arguments = {key: value for key, value in cfg.items() if key not in ('type', *_OF_ANY)}
    try:
        distiller = MODELS.build({'type': kind, **arguments, 'pair': pair})
    except DistillationError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DistillationError([str(error)]) from error
    raise_if_any(distiller.problems)
    distiller.stop = stop
    return distiller
