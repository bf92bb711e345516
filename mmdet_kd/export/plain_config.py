"""A distillation config without the distillation."""

import copy
import inspect
import math
from collections.abc import Iterator
from typing import Any

import mmdet.registry
from mmengine.config import Config
from mmengine.registry import Registry
from torch import nn

from ..errors import raise_if_any
from ..unknown_names import constructor_keys

#: Our detectors, and what mmdet calls the same without a teacher if the config names no `detector`; None: it must.
PLAIN_TYPES = {
    'KnowledgeDistillationOneStageDetector': 'SingleStageDetector',
    'KnowledgeDistillationTwoStageDetector': 'TwoStageDetector',
    'KnowledgeDistillationDetector': None,
}
#: Our hooks that stand in the place of one of mmengine's; any other is left out of a plain config.
PLAIN_HOOKS = {'WholeCheckpointHook': 'CheckpointHook'}
#: The heads of mmdet's detectors that score the classes of the data, in the detector or in its RoI head.
DATA_HEADS = ('bbox_head', 'mask_head', 'point_head', 'mask_iou_head', 'glbctx_head')
# What has classes of its own: a backbone those of its pretraining, an RPN one, a semantic head (HTC, SCNet) the stuff.
_OTHER_CLASSES = ('backbone', 'neck', 'rpn_head', 'roi_head.semantic_head', 'distillers')
_PACKAGE = __name__.partition('.')[0]
#: The `type` of what has decomposed layers; its `of` is the original's.
DECOMPOSED = 'Decomposed'


def plain_student_config(cfg: Config) -> Config:
    """Turn a distillation config into an ordinary mmdet config that needs neither this package nor a teacher.

    Args:
        cfg: any config; it is not changed. A plain one comes back as it was.

    Returns:
        A new config. If it still names something of this package, a backbone say, the import stays; see
        :func:`types_of_this_package`.
    """
    plain = copy.deepcopy(cfg)
    _strip_model(plain.get('model'))
    ours = _registered_names()
    for name, hook in list((plain.get('default_hooks') or {}).items()):
        _make_plain(hook)
        if _type_name(hook) in ours:
            del plain.default_hooks[name]
    for hook in plain.get('custom_hooks') or ():
        _make_plain(hook)
    if plain.get('custom_hooks'):
        plain.custom_hooks = [hook for hook in plain.custom_hooks if _type_name(hook) not in ours]
    if not types_of_this_package(plain):
        _drop_import(plain)
    return plain


def types_of_this_package(cfg: Config) -> list[str]:
    """What of this package a config names at any depth, sorted."""
    return sorted({name for name in _type_names(cfg.to_dict())} & _registered_names())


def unwritable_numbers(cfg: Config) -> list[str]:
    """The numbers that a config has and a config file cannot say, each with the cure."""
    return [
        f'{path}={value} has no name in a config file: write a large number, such as 1e9, or leave it out'
        for path, value in _numbers(cfg.to_dict(), '')
        if not math.isfinite(value)
    ]


def with_num_classes(student: dict, num_classes: int) -> dict:
    """The keys of a detector whose heads all score ``num_classes`` classes, at every stage, and so do their losses.

    Args:
        student: the keys of a plain detector; they are not changed.
        num_classes: of the data.

    Raises:
        DistillationError: the detector is panoptic, so one number does not say what its classes are.
    """
    student = copy.deepcopy(student)
    panoptic = sorted(key for key, part in student.items() if isinstance(part, dict) and 'num_things_classes' in part)
    raise_if_any(
        [
            f'num_classes={num_classes} does not say which classes of {key} are things and which are stuff: set '
            f'num_things_classes and num_stuff_classes of {key} there, and leave num_classes of the detector out'
            for key in panoptic
        ]
    )
    for holder in (student, student.get('roi_head') or {}):
        for part in DATA_HEADS:
            heads = holder.get(part)
            for head in heads if isinstance(heads, (list, tuple)) else [heads]:
                if head is not None and _takes_classes(head):
                    head['num_classes'] = num_classes
                    for key, loss in head.items():
                        if key.startswith('loss') and _counts_classes(loss):
                            loss['num_classes'] = num_classes
    return student


def num_classes_problems(detector: nn.Module, num_classes: int) -> list[str]:
    """Which parts of a built detector do not know ``num_classes`` classes, though they may score those of the data."""
    return [
        f'num_classes={num_classes} did not reach {name} ({type(part).__name__}), which knows {part.num_classes}. If '
        f'it scores the classes of the data, set num_classes={num_classes} in its own config; if it scores others, '
        'leave num_classes of the detector out and set that of each head'
        for name, part in detector.named_modules()
        if getattr(part, 'num_classes', num_classes) != num_classes
        and not any(name == other or name.startswith(f'{other}.') for other in _OTHER_CLASSES)
    ]


def _takes_classes(head: dict) -> bool:
    """Whether a head is told the number of classes; CondInst's mask head knows none."""
    kind = head.get('of') if _type_name(head) == DECOMPOSED else head.get('type')
    kind = mmdet.registry.MODELS.get(kind) if isinstance(kind, str) else kind
    return not inspect.isclass(kind) or 'num_classes' in constructor_keys(kind)


def _counts_classes(loss: Any) -> bool:
    """Whether a loss is told the number of classes, in its config or by a default of its own."""
    if not isinstance(loss, dict) or 'type' not in loss:
        return False
    kind = mmdet.registry.MODELS.get(loss['type']) if isinstance(loss['type'], str) else loss['type']
    return kind is not None and 'num_classes' in inspect.signature(kind).parameters


def _strip_model(model: Any) -> None:
    """Make a distilled detector plain in place, also inside a wrapper of models."""
    if not isinstance(model, dict):
        return
    place = 'of' if _type_name(model) == DECOMPOSED else 'type'  # where a decomposed model says what it is
    kind = _name_of(model.get(place))
    if kind in PLAIN_TYPES:
        plain = model.pop('detector', None) or PLAIN_TYPES[kind]
        raise_if_any([] if plain else [f'{kind} needs detector=..., the class of the plain student'])
        model[place] = plain
        for key in ('teacher', 'teachers', 'distillers', 'student_scale'):
            model.pop(key, None)
        num_classes = model.pop('num_classes', None)
        if num_classes is not None:
            model.update(with_num_classes(model, num_classes))
    for key in ('module', 'detector'):  # test-time augmentation, semi-supervision
        _strip_model(model.get(key))


def _make_plain(hook: Any) -> None:
    """Exchange in place a hook of ours for the one of mmengine's in whose place it stands."""
    if _type_name(hook) in PLAIN_HOOKS:
        hook['type'] = PLAIN_HOOKS[_type_name(hook)]


def _drop_import(cfg: Config) -> None:
    imports = (cfg.get('custom_imports') or {}).get('imports')
    if imports is None:
        return
    kept = [name for name in ([imports] if isinstance(imports, str) else imports) if name.split('.')[0] != _PACKAGE]
    if kept:
        cfg.custom_imports['imports'] = kept
    else:
        cfg.pop('custom_imports')


def _registered_names() -> set[str]:
    """Every name that this package has put into mmdet's registries."""
    registries = [registry for registry in vars(mmdet.registry).values() if isinstance(registry, Registry)]
    return {
        name
        for registry in registries
        for name, registered in registry.module_dict.items()
        if registered.__module__.split('.')[0] == _PACKAGE
    }


def _type_name(cfg: Any) -> str | None:
    """The registered name in a config's `type`."""
    return _name_of(cfg.get('type')) if isinstance(cfg, dict) else None


def _name_of(kind: Any) -> str | None:
    """The registered name of what a config names, which may have a scope or be the class itself."""
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', None)


def _numbers(part: Any, path: str) -> Iterator[tuple[str, float]]:
    """The path of keys and the value of each float in a config."""
    if isinstance(part, (dict, list, tuple)):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            yield from _numbers(value, f'{path}.{key}' if path else str(key))
    elif isinstance(part, float):
        yield path, part


def _type_names(cfg: Any) -> Iterator[str]:
    """Every `type` in a config, at any depth."""
    if isinstance(cfg, dict):
        name = _type_name(cfg)
        if name is not None:
            yield name
    if isinstance(cfg, (dict, list, tuple)):
        for value in cfg.values() if isinstance(cfg, dict) else cfg:
            yield from _type_names(value)
