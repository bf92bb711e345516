"""Finding a teacher's config."""

import copy
import importlib
import re
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.utils import import_modules_from_strings

from ..errors import DistillationError

_THIS = 'mmdet_kd'
ConfigSource = str | Path | dict | Config


def load_teacher_config(source: ConfigSource) -> Config:
    """Read a teacher's config.

    Args:
        source: a path; a name in an installed package (``'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'``); or a
            whole config or its ``model`` alone, as a dict or a Config.

    Returns:
        A config of its own, with a ``model``.

    Raises:
        DistillationError: there is no such file, or it has no model; the message says where was looked.
    """
    if isinstance(source, (str, Path)):
        cfg = Config.fromfile(find_config(str(source)))
    elif isinstance(source, (dict, Config)):
        content = source.to_dict() if isinstance(source, (Config, ConfigDict)) else copy.deepcopy(source)
        cfg = Config(content if 'model' in content else dict(model=content))
        if 'custom_imports' in cfg:
            import_modules_from_strings(**cfg.custom_imports)
    else:
        raise DistillationError(
            [f'teacher.config must be a path, a "mmdet::..." name, a dict or a Config, not {type(source).__name__}']
        )
    if 'model' not in cfg or 'type' not in cfg.model:
        raise DistillationError([f'the teacher config {_name(source)} has no `model` with a `type`: name a detector'])
    return cfg


def find_config(name: str) -> Path:
    """Find a config file by path or by ``package::path``, whatever the working directory.

    A relative path is looked for from the working directory, then from the roots of the configs that are shipped with
    this package.
    """
    package, separator, inside = name.partition('::')
    if separator:
        candidates = [root / 'configs' / inside for root in _roots(package)]
    else:
        path = Path(name).expanduser()
        candidates = [path] if path.is_absolute() else [Path.cwd() / path, *(root / path for root in _roots(_THIS))]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked = ', '.join(map(str, candidates)) or f'no installed package {package}'
    raise DistillationError(
        [
            f'there is no teacher config {name!r} (looked at: {looked}). In a config file, '
            "'{{ fileDirname }}/teacher.py' names a file beside it"
        ]
    )


def _roots(package: str) -> list[Path]:
    """Where a package's configs may lie: its ``.mim`` folder, and for this package also the checkout around it."""
    if not re.fullmatch(r'\w+', package):
        return []
    try:
        folder = Path(importlib.import_module(package).__file__ or '').parent
    except ModuleNotFoundError:
        return []
    checkout = [folder.parent] if package == _THIS else []
    return [*checkout, folder / '.mim']


def _name(source: ConfigSource) -> str:
    return repr(source) if isinstance(source, (str, Path)) else 'given as a dict'
