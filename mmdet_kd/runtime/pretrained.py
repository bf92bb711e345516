"""The pretrained weights that a model's config names: checked before a training, or left out."""

import os.path
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mmdet.registry import MODELS
from mmengine.model import PretrainedInit
from mmengine.runner.checkpoint import CheckpointLoader

from ..errors import DistillationError, raise_if_any
from .checkpoints import read_checkpoint
from .mmengine_loader import load_from_file
from .remote_checkpoints import (
    PAVI_PROBLEM,
    load_from_address,
    load_from_mmcls_name,
    load_from_openmmlab_name,
    load_from_pavi_name,
    load_from_torchvision_name,
    mmcls_address,
    openmmlab_address,
)
from .torchvision_names import torchvision_problem

#: What an ``init_cfg`` that loads weights may call itself.
_PRETRAINED = ('Pretrained', 'PretrainedInit', PretrainedInit)
_OR_ELSE = 'or write init_cfg=None (pretrained=None) for random weights'


def check_pretrained(model: dict) -> None:
    """Check that the pretrained weights of a model's config can be had; downloads nothing.

    A resumed run needs them too: mmengine loads them before it loads the checkpoint over them.

    Args:
        model: config of a model. What it says of a ``teacher`` or of ``teachers`` is not looked at: a teacher leaves
            the pretrained weights of its config out.

    Raises:
        DistillationError: with all weights whose file, name or package is missing.
    """
    raise_if_any(
        [
            f'{where}={source!r}: {problem}'
            for where, source in _named_weights(model, 'model')
            if (problem := _problem(source)) is not None
        ]
    )


def pretrained_files(model: dict) -> list[Path]:
    """The files on this machine whose weights a model's config begins with; those of its teachers are left out."""
    named = (
        Path(os.path.expanduser(source)) for _, source in _named_weights(model, 'model') if isinstance(source, str)
    )
    return [path for path in dict.fromkeys(named) if path.is_file()]


def drop_pretrained(cfg: Any) -> None:
    """Remove, in place and at any depth, what would load weights while a model is built or initialised."""
    if isinstance(cfg, dict):
        init_cfg = cfg.get('init_cfg')
        if _loads(init_cfg):
            cfg['init_cfg'] = None
        elif isinstance(init_cfg, (list, tuple)):
            cfg['init_cfg'] = [each for each in init_cfg if not _loads(each)]
        cfg.pop('pretrained', None)
    for value in cfg.values() if isinstance(cfg, dict) else cfg if isinstance(cfg, (list, tuple)) else ():
        drop_pretrained(value)


def _loads(init_cfg: Any) -> bool:
    """Whether an ``init_cfg`` loads weights; PVT's and Swin's need no ``type`` to do so."""
    return isinstance(init_cfg, dict) and (init_cfg.get('type') in _PRETRAINED or 'checkpoint' in init_cfg)


def _named_weights(cfg: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Where a config names weights, as a path of keys, and what it names."""
    if isinstance(cfg, (list, tuple)):
        for index, value in enumerate(cfg):
            yield from _named_weights(value, f'{where}.{index}')
    elif isinstance(cfg, dict):
        for key, value in cfg.items():
            if key == 'init_cfg':
                yield from _of_init_cfg(value, f'{where}.{key}')
            elif key == 'pretrained' and isinstance(value, str) and _is_mmdets(cfg.get('type')):
                yield f'{where}.{key}', value
            elif key not in ('teacher', 'teachers'):
                yield from _named_weights(value, f'{where}.{key}')


def _of_init_cfg(init_cfg: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(init_cfg, (list, tuple)):
        for index, each in enumerate(init_cfg):
            yield from _of_init_cfg(each, f'{where}.{index}')
    elif _loads(init_cfg):
        yield f'{where}.checkpoint', init_cfg.get('checkpoint')
    elif isinstance(init_cfg, dict) and 'override' in init_cfg:  # of a part of the module, by its name
        yield from _of_init_cfg(init_cfg['override'], f'{where}.override')


def _is_mmdets(kind: Any) -> bool:
    """Whether a class is of mmdet, whose ``pretrained`` is a checkpoint; elsewhere it may be anything."""
    if isinstance(kind, str):
        scope, _, name = kind.rpartition('.')
        kind = MODELS.get(name) if scope in ('', 'mmdet') else None
    return getattr(kind, '__module__', '').split('.')[0] == 'mmdet'


# What each of mmengine's loaders needs.


def _problem(source: Any) -> str | None:
    """Why mmengine cannot load it, with the cure, or None."""
    if not isinstance(source, str) or not source.strip():
        return f'it names nothing. Name a file or an address, {_OR_ELSE}'
    # The one private name of mmengine's registry: there is no public way to ask which loader a name would get.
    check = _CHECKS.get(CheckpointLoader._get_checkpoint_loader(source))
    return None if check is None else check(source)


def _local_problem(source: str) -> str | None:
    path = Path(os.path.expanduser(source))
    if '://' in source:
        return f'mmengine knows no loader of {source.partition("://")[0]}://. Correct it, {_OR_ELSE}'
    if not path.is_file():
        kind = 'it is a folder' if path.is_dir() else 'there is no such file'
        return (
            f'{kind} (looked at {path.absolute()}). Put the file there (tools/model_converters/caffe_to_mmdet_kd.py '
            f"makes those of Caffe's networks), correct the path, {_OR_ELSE}"
        )
    try:
        read_checkpoint(path, 'file of pretrained weights', map_location='meta')
    except DistillationError as error:
        return str(error)
    return None


def _address_problem(source: str) -> str | None:
    address = urlparse(source)
    complete = address.netloc and address.path.strip('/')
    return None if complete else f'the address names no file. Complete it, {_OR_ELSE}'


def _table_problem(address: str | None) -> str | None:
    return None if address else f"the name is not in mmengine's table of it. Correct it, {_OR_ELSE}"


#: By the loader in mmengine's registry. Any other one (of an object store, or registered by the user) is left to it.
_CHECKS: dict[Callable, Callable[[str], str | None]] = {
    load_from_file: _local_problem,
    load_from_address: _address_problem,
    load_from_torchvision_name: torchvision_problem,
    load_from_openmmlab_name: lambda source: _table_problem(openmmlab_address(source)),
    load_from_mmcls_name: lambda source: _table_problem(mmcls_address(source)),
    load_from_pavi_name: lambda source: PAVI_PROBLEM,
}
