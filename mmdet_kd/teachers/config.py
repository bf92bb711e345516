"""Finding a teacher's config."""

import copy
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.utils import import_modules_from_strings

from ..errors import DistillationError
from ..export import plain_student_config
from .checkpoint import extraction
from .paths import candidates

ConfigSource = str | Path | dict | Config

#: The keys under which a model that wraps a detector holds it, and the prefix that this one's weights have there.
_WRAPPERS = {'detector': 'detector.', 'module': ''}


def load_teacher_config(source: ConfigSource) -> Config:
    """Read a teacher's config.

    Args:
        source: a path; a name in an installed package (``'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'``); or a
            whole config or its ``model`` alone, as a dict or a Config.

    Returns:
        A config of its own, with a ``model``, into which a ``data_preprocessor`` beside it is put.

    Raises:
        DistillationError: there is no such file, it imports what is not there, or it has no model, or one that holds a
            detector and is none; the message says where was looked, and what would serve.
    """
    if isinstance(source, (str, Path)):
        cfg = _read(find_config(str(source)))
    elif isinstance(source, (dict, Config)):
        content = source.to_dict() if isinstance(source, (Config, ConfigDict)) else copy.deepcopy(source)
        cfg = Config(content if 'model' in content else dict(model=content))
        _import_customs(cfg)
    else:
        raise DistillationError(
            [f'teacher.config must be a path, a "mmdet::..." name, a dict or a Config, not {type(source).__name__}']
        )
    if 'model' not in cfg or 'type' not in cfg.model:
        raise DistillationError([f'the teacher config {_name(source)} has no `model` with a `type`: name a detector'])
    cfg = plain_student_config(cfg)  # a distilled student teaches as itself, without its own teacher
    _refuse_a_wrapper(cfg, source)
    if cfg.get('data_preprocessor') is not None:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)  # as mmengine's Runner does
    return cfg


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


def _import_customs(cfg: Config) -> None:
    """Import what a config that was given as a dict asks for; of a file, mmengine has done so."""
    if not cfg.get('custom_imports'):
        return
    try:
        import_modules_from_strings(**cfg.custom_imports)
    except (ImportError, TypeError) as error:
        raise DistillationError(
            [
                f'the custom_imports of the teacher config given as a dict fail ({error}): install the module, or '
                "write custom_imports=dict(imports=['a.module'])"
            ]
        ) from error


def _refuse_a_wrapper(cfg: Config, source: ConfigSource) -> None:
    """Refuse a model that holds a detector and is none itself: a SoftTeacher, a tracker, test-time augmentation."""
    key = next((key for key in _WRAPPERS if key in cfg.model), None)
    if key is None:
        return
    kind, inner = getattr(cfg.model.type, '__name__', cfg.model.type), cfg.model[key]
    problem = f'the teacher config {_name(source)} is of a {kind}, which holds a detector as its model.{key}'
    if not isinstance(inner, dict) or 'type' not in inner:
        raise DistillationError([f'{problem}, and not one of mmdet: give the config of a detector of mmdet'])
    config = (
        f"python -c \"from mmengine import Config; c = Config.fromfile('{cfg.filename or 'CONFIG.py'}'); "
        f"c.model = c.model.{key}; c.dump('teacher.py')\""
    )
    prefix = _WRAPPERS[key]
    if 'semi_test_cfg' in cfg.model:  # it holds two, and tests with one of them
        prefix = f'{(cfg.model.semi_test_cfg or {}).get("predict_on", "teacher")}.'
    weights = f', and its weights alone, {extraction(prefix, "CHECKPOINT.pth")}' if prefix else ''
    raise DistillationError([f'{problem}. Give the config of that detector, {config}{weights}'])


def _name(source: ConfigSource) -> str:
    return repr(source) if isinstance(source, (str, Path)) else 'given as a dict'
