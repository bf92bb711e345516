"""Finding a teacher's files, whatever the working directory."""

import importlib
import os.path
import re
from pathlib import Path

from mmengine.config import Config

from ..errors import raise_if_any

_THIS = __name__.partition('.')[0]


def candidates(name: str) -> list[Path]:
    """Where a file may lie that a config names.

    Args:
        name: a path, or ``package::path``, a config in an installed package. A relative path is meant from the working
            directory, else from the checkout of this package or what it installed. Our tools also look beside the
            config; see :func:`find_teacher_files`.
    """
    package, separator, inside = name.partition('::')
    if separator:
        return [root / 'configs' / inside for root in _roots(package)]
    path = Path(name).expanduser()
    return [path] if path.is_absolute() else [Path.cwd() / path, *(root / path for root in _roots(_THIS))]


def find_teacher_files(cfg: Config) -> None:
    """Find the files that a config names for its teachers, also beside the config, as a ``_base_`` is found.

    A detector does not know from which file its config was read, so the names of files that lie beside it are replaced
    by their whole paths.

    Args:
        cfg: as it was read from a file; it is changed.

    Raises:
        DistillationError: a file is nowhere, or a name means two files; lists where was looked.
    """
    model = cfg.get('model') or {}
    several = model.get('teachers') if isinstance(model.get('teachers'), dict) else {}
    teachers = {'teacher': model.get('teacher'), **{f'teachers.{name}': each for name, each in several.items()}}
    named = [
        (f'model.{where}.{key}={teacher[key]!r}', teacher, key)
        for where, teacher in teachers.items()
        if isinstance(teacher, dict)
        for key in ('config', 'checkpoint')
        if _is_relative(teacher.get(key))
    ]
    problems = []
    for what, teacher, key in named:
        places = candidates(teacher[key])
        beside = Path(os.path.abspath(cfg.filename)).parent / teacher[key]
        found = next((place for place in places if place.is_file()), None)
        if found is None and not beside.is_file():
            looked = ', '.join(dict.fromkeys(map(str, (*places, beside))))
            or_else = ', train the teacher first, or write checkpoint=None' if key == 'checkpoint' else ''
            problems.append(f'{what}: there is no such file (looked at: {looked}). Correct the path{or_else}')
        elif found is None:
            teacher[key] = str(beside)
        elif beside.is_file() and not beside.samefile(found):
            problems.append(f'{what} may be {found} or {beside}: write the whole path of the one that is meant')
    raise_if_any(problems)


def _is_relative(name: object) -> bool:
    return isinstance(name, str) and not re.search('::|://', name) and not Path(name).expanduser().is_absolute()


def _roots(package: str) -> list[Path]:
    """A package's ``.mim`` folder, where configs are shipped, and for this package also the checkout around it."""
    if not re.fullmatch(r'\w+', package):
        return []
    try:
        folder = Path(importlib.import_module(package).__file__ or '').parent
    except ModuleNotFoundError:
        return []
    return [folder.parent, folder / '.mim'] if package == _THIS else [folder / '.mim']
