"""One teacher or several, and who learns from whom."""

import inspect
from collections.abc import Mapping
from typing import Any

from mmdet.registry import MODELS

from ..errors import DistillationError, raise_if_any
from ..teachers import BaseTeacher
from ..unknown_names import key_problems, near_names

#: The name of a teacher that is alone.
ALONE = 'teacher'
_TEACHERS = ('DetectorTeacher', 'ClassifierTeacher')


def build_teachers(teacher: dict | None, teachers: Mapping[str, dict] | None) -> dict[str, BaseTeacher]:
    """Build the teachers of a detector.

    Args:
        teacher: config of the only one.
        teachers: name -> config of each, where there are several. None as a config leaves an inherited one out.

    Raises:
        DistillationError: neither is given, or both are, or one of them is no teacher's config.
    """
    if teachers is None:
        return {ALONE: _build(teacher, ALONE)}
    given = {n: cfg for n, cfg in teachers.items() if cfg is not None} if isinstance(teachers, Mapping) else {}
    if teacher is not None or not given:
        raise DistillationError(
            [
                'give one teacher, teacher=dict(config=..., checkpoint=...), or several by name, '
                'teachers=dict(name=dict(config=..., checkpoint=...), ...), not both'
            ]
        )
    return {name: _build(cfg, f'teachers.{name}') for name, cfg in given.items()}


def teacher_of(named: str | None, learns_from: type[BaseTeacher], teachers: Mapping[str, BaseTeacher]) -> str:
    """The name of the teacher that a distiller learns from.

    Args:
        named: by the distiller's config; None leaves it to be found.
        learns_from: the sort of teacher that it can learn from.
        teachers: name -> teacher.

    Raises:
        DistillationError: there is none of that sort, more than one and none is named, or the named one is another.
    """
    fitting = [name for name, teacher in teachers.items() if isinstance(teacher, learns_from)]
    if named is not None and named in fitting:
        return named
    if named is None and len(fitting) == 1:
        return fitting[0]
    sorts = ', '.join(f'{name} ({type(teacher).__name__})' for name, teacher in teachers.items())
    wanted = f'of the teachers, {sorts}, it learns from a {learns_from.__name__}'
    if named is not None:
        raise DistillationError([f'{wanted}; {named!r} is none'])
    if fitting:
        raise DistillationError([f"{wanted}; name one of them: teacher='{fitting[0]}'"])
    raise DistillationError([f'{wanted}, and there is none: add one to teachers, or leave this distiller out'])


def _build(cfg: Any, name: str) -> BaseTeacher:
    kind = cfg.get('type', 'DetectorTeacher') if isinstance(cfg, Mapping) else 'DetectorTeacher'
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (inspect.isclass(found) and issubclass(found, BaseTeacher)):
        near = near_names(str(kind), _TEACHERS)
        cure = f'Did you mean {near[0]}?' if near else f'Take {" or ".join(_TEACHERS)}'
        raise_if_any([f'{name}: {kind!r} is not a teacher. {cure}'])
    if isinstance(cfg, Mapping):
        raise_if_any([f'{name}: {problem}' for problem in key_problems(found, cfg)])
    if not isinstance(cfg, Mapping) or 'config' not in cfg:
        given = f'dict({", ".join(f"{key}=..." for key in cfg)})' if isinstance(cfg, Mapping) else repr(cfg)
        raise_if_any([f'{name} must be dict(config=..., checkpoint=...), not {given}'])
    return MODELS.build({**cfg, 'type': found})
