"""Finding a teacher's files, whatever the working directory."""

import importlib
import re
from pathlib import Path

_THIS = __name__.partition('.')[0]


def candidates(name: str) -> list[Path]:
    """Where a file may lie that a config names.

    Args:
        name: a path, or ``package::path``, a config in an installed package. A relative path is meant from the working
            directory, else from the checkout of this package or what it installed.
    """
    package, separator, inside = name.partition('::')
    if separator:
        return [root / 'configs' / inside for root in _roots(package)]
    path = Path(name).expanduser()
    return [path] if path.is_absolute() else [Path.cwd() / path, *(root / path for root in _roots(_THIS))]


def _roots(package: str) -> list[Path]:
    """A package's ``.mim`` folder, where configs are shipped, and for this package also the checkout around it."""
    if not re.fullmatch(r'\w+', package):
        return []
    try:
        folder = Path(importlib.import_module(package).__file__ or '').parent
    except ModuleNotFoundError:
        return []
    return [folder.parent, folder / '.mim'] if package == _THIS else [folder / '.mim']
