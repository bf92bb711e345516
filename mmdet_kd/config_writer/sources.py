"""Finding the configs that a person names: by path, in a package, or one of this package by its name alone."""

import os
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from ..errors import DistillationError
from ..runtime import cli
from ..teachers.paths import candidates
from ..unknown_names import near_names

_PACKAGE = __name__.partition('.')[0]


class Source(NamedTuple):
    """A config that was named.

    Args:
        name: as it was named.
        path: where it was found.
        cfg: what it holds.
    """

    name: str
    path: Path
    cfg: Config


def our_configs() -> Path:
    """The folder of this package's configs: of the checkout, or of what was installed."""
    places = candidates(f'{_PACKAGE}::_base_')
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        looked = ' and '.join(map(str, places))
        raise DistillationError([f'the configs of {_PACKAGE} are not there (looked at {looked}): install it again'])
    return found.parent


def read_source(name: str, what: str) -> Source:
    """Find and read a config.

    Args:
        name: a path; ``package::path``; or the name of one of this package's configs, with or without its folder below
            ``configs`` and its ``.py``.
        what: it is of; for messages.

    Raises:
        DistillationError: there is no such file, several have the name, it cannot be read, or it imports what is not
            installed.
    """
    path = _find(name, what)
    try:
        return Source(name, path, cli.read_config(path))
    except ImportError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise DistillationError(
            [f'{what}: {name} imports what is not there ({reason}): install it, or add its folder to PYTHONPATH']
        ) from error


def base_reference(source: Source, folder: Path) -> str:
    """How a config in a folder names another as its ``_base_``.

    mmengine finds the configs of mmdet by ``mmdet::``, and knows no such name of this package. A path is relative where
    both lie below the working directory, so that this may be moved, and whole elsewhere. It is whole, too, where a link
    leads to one of them: mmengine takes ``..`` out of a path without a look at the disk.
    """
    if '::' in source.name and not source.name.startswith(f'{_PACKAGE}::'):
        return source.name
    here = Path.cwd()
    for path in (source.path, folder):
        plain = Path(os.path.abspath(path))
        if not plain.is_relative_to(here) or plain != plain.resolve():
            return source.path.resolve().as_posix()
    relative = Path(os.path.relpath(source.path, folder)).as_posix()
    return relative if relative.startswith('.') else f'./{relative}'


def teacher_reference(source: Source) -> str:
    """How a config names another as its teacher's; see :func:`~mmdet_kd.teachers.paths.candidates`."""
    configs = our_configs().resolve()
    path = source.path.resolve()
    if path.is_relative_to(configs):
        return (Path('configs') / path.relative_to(configs)).as_posix()
    return source.name


def _find(name: str, what: str) -> Path:
    places = candidates(name)
    found = next((place for place in places if place.is_file()), None)
    if found is not None:
        return found
    if '::' in name:
        looked = ', '.join(map(str, places)) or 'no such package is installed'
        raise DistillationError([f'{what}: there is no config {name!r} (looked at {looked}). Correct the name'])
    configs = our_configs()
    below = name.removesuffix('.py') + '.py'
    same = [configs / below] if '/' in below else sorted(configs.rglob(below))
    same = [path for path in same if path.is_file()]
    if len(same) == 1:
        return same[0]
    if same:
        raise DistillationError([f'{what}: {name!r} may be {" or ".join(map(str, same))}: write the path'])
    stem = Path(below).stem
    near = near_names(stem, {path.stem for path in configs.rglob('*.py')})
    cure = f'Did you mean {" or ".join(near)}?' if near else 'Correct the path'
    raise DistillationError(
        [f'{what}: there is no config {name!r} (looked at {Path(name).absolute()} and in {configs}). {cure}']
    )
