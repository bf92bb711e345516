"""Finding a teacher's config."""

import copy
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.utils import import_modules_from_strings

from ..errors import DistillationError
from ..export import plain_student_config
from .paths import candidates

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
        cfg = _read(find_config(str(source)))
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
    return plain_student_config(cfg)  # a distilled student teaches as itself, without its own teacher


def find_config(name: str) -> Path:
    """Find a config file by path or by ``package::path``; see :func:`~mmdet_kd.teachers.paths.candidates`."""
    places = candidates(name)
    for place in places:
        if place.is_file():
            return place
    looked = ', '.join(map(str, places)) or 'no such package is installed'
    raise DistillationError(
        [
            f'there is no teacher config {name!r} (looked at: {looked}). In a config file, '
            "'{{ fileDirname }}/teacher.py' names a file beside it"
        ]
    )


def _read(path: Path) -> Config:
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is a program, which may fail in any way
        raise DistillationError(
            [f'the teacher config {path} cannot be read ({type(error).__name__}: {error}). Mend it, or name another']
        ) from error


def _name(source: ConfigSource) -> str:
    return repr(source) if isinstance(source, (str, Path)) else 'given as a dict'
