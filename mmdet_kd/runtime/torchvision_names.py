"""Let ``init_cfg`` name weights as ``torchvision://resnet18`` where torchvision is not installed.

mmengine imports torchvision to look up the address of such a name, and for nothing else. From torchvision 0.13 on it
takes the addresses of the plain names from a table of its own, so that the same file is loaded with and without
torchvision. The names with a dot (``resnet50.imagenet1k_v2``) are in torchvision alone.
"""

from pathlib import Path
from typing import Any

import mmengine
from mmengine.runner.checkpoint import CheckpointLoader, get_torchvision_models, load_from_http

from ..errors import raise_if_any

_PREFIXES = ('torchvision://', 'modelzoo://')  # the second is the older one
_TABLE = Path(mmengine.__file__).parent / 'hub' / 'torchvision_0.12.json'


def register_torchvision_names() -> None:
    """Tell mmengine's registry of loaders to load these names through :func:`load_from_torchvision_name`."""
    CheckpointLoader.register_scheme(_PREFIXES, load_from_torchvision_name, force=True)


def load_from_torchvision_name(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load the file that torchvision publishes under a name; it is downloaded once to torch's hub folder.

    Args:
        filename: ``torchvision://<name>`` or ``modelzoo://<name>``.
        map_location: as in :func:`torch.load`.

    Returns:
        The weights, in torchvision's names.

    Raises:
        DistillationError: the name has no known address.

    Source: :func:`mmengine.runner.checkpoint.load_from_torchvision`, which this repeats but for the import.
    """
    problem = torchvision_problem(filename)
    raise_if_any([problem] if problem else [])
    return load_from_http(_address(filename), map_location=map_location)


def torchvision_problem(filename: str) -> str | None:
    """Why ``torchvision://<name>`` or ``modelzoo://<name>`` cannot be loaded, with the cure, or None."""
    if _address(filename) is not None:
        return None
    cures = ['correct the name', 'name the address of its file (https://download.pytorch.org/models/...)']
    if not _torchvision_imports():
        cures.append('install a torchvision that was built for this torch')
    return f'mmengine knows no address of {filename}: {", ".join(cures[:-1])}, or {cures[-1]}'


def _address(filename: str) -> str | None:
    addresses = get_torchvision_models() if _torchvision_imports() else mmengine.load(str(_TABLE))
    return addresses.get(filename.partition('://')[2])


def _torchvision_imports() -> bool:
    try:
        import torchvision  # noqa: F401  (not a dependency)
    except Exception:  # a torchvision that was built for another torch fails in ways of its own
        return False
    return True
