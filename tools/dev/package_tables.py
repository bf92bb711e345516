"""What the documents quote of the package itself: what it registers, and what is known of each head."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import isfunction

from mmdet.registry import DATASETS, HOOKS, METRICS, MODELS

import mmdet_kd  # noqa: F401  (registers what is listed)
from mmdet_kd.comparison import markdown
from mmdet_kd.heads import BoxHeadView, DenseView, MaskView, RoIView, RPNView, known_heads
from mmdet_kd.losses import functional

SORTS_OF_HEADS = {
    DenseView: 'Dense heads',
    RPNView: 'Region proposal networks',
    RoIView: 'RoI heads',
    BoxHeadView: 'Box heads of RoI heads',
    MaskView: 'Mask heads',
}


def registered_table() -> str:
    """What a config can name, in the order of the rooms."""
    rows = ['| `type` | room | what it does |', '|-|-|-|']
    rows += [f'| `{name}` | {room} | {_summary(module)} |' for room, name, module in _registered()]
    return '\n'.join(rows)


def reference() -> str:
    """For Sphinx, what :func:`registered_table` lists, by its room; and the functions of the losses."""
    rooms: dict[str, list[str]] = {}
    for room, _, module in _registered():
        rooms.setdefault(room, []).append(_directive(f'mmdet_kd.{room}', module))
    members = [getattr(functional, name) for name in sorted(functional.__all__)]
    rooms['losses.functional'] = [_directive(functional.__name__, each) for each in members if isfunction(each)]
    return '\n\n'.join(
        f'### {room}\n\n```{{eval-rst}}\n' + '\n\n'.join(lines) + '\n```' for room, lines in rooms.items()
    )


def _directive(room: str, module: Callable) -> str:
    return f'.. {"autofunction" if isfunction(module) else "autoclass"}:: {room}.{module.__name__}'


def _registered() -> list[tuple[str, str, Callable]]:
    """The room, the name and the class of all that this package registers, in the order of the rooms and names."""
    found = []
    for registry in (MODELS, HOOKS, DATASETS, METRICS):
        for name, module in registry.module_dict.items():
            package, _, rest = module.__module__.partition('.')
            if package == 'mmdet_kd':
                found.append((rest.partition('.')[0], name, module))
    return sorted(found, key=lambda entry: entry[:2])


def _summary(module: Callable) -> str:
    """The first sentence of a docstring, without Sphinx's roles."""
    paragraph = (module.__doc__ or '').strip().split('\n\n')[0]
    sentence = re.split(r'(?<=\.) (?=[A-Z])', ' '.join(paragraph.split()))[0]
    return re.sub(r':\w+:`~?([\w.]+)`', lambda m: f'`{m[1].rpartition(".")[2]}`', sentence).replace('``', '`')


def heads_tables() -> str:
    """Of each sort of heads a table, head x question; and the reasons for each no."""
    sections = []
    for sort, title in SORTS_OF_HEADS.items():
        views = {head.__name__: view for head, view in known_heads().items() if issubclass(view, sort)}
        reasons: dict[str, int] = {}
        rows = [['', *sort.questions]]
        for name, view in sorted(views.items()):
            cannot = [view.cannot.get(question) for question in sort.questions]
            rows.append([f'`{name}`', *(f'no ({_number(reasons, why)})' if why else 'yes' for why in cannot)])
        listed = [f'{number}. {reason}' for reason, number in reasons.items()]
        sections += [f'## {title}', markdown(rows), '\n'.join(listed)]
    return '\n\n'.join(sections)


def _number(reasons: dict[str, int], reason: str) -> int:
    return reasons.setdefault(reason, len(reasons) + 1)
