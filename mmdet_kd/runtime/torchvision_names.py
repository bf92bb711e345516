"""The addresses of weights that ``init_cfg`` names as ``torchvision://resnet18``, without torchvision too.

mmengine imports torchvision to look up the address of such a name, and for nothing else. From torchvision 0.13 on it
takes the addresses of the plain names from a table of its own, so that the same file is loaded with and without
torchvision. The names with a dot (``resnet50.imagenet1k_v2``) are in torchvision alone.
"""

from pathlib import Path

import mmengine
from mmengine.runner.checkpoint import get_torchvision_models

#: Under which torchvision's names stand.
PREFIXES = ('torchvision://', 'modelzoo://')  # the second is the older one
_TABLE = Path(mmengine.__file__).parent / 'hub' / 'torchvision_0.12.json'


def torchvision_problem(filename: str) -> str | None:
    """Why ``torchvision://<name>`` or ``modelzoo://<name>`` cannot be loaded, with the cure, or None."""
    if torchvision_address(filename) is not None:
        return None
    cures = ['correct the name', 'name the address of its file (https://download.pytorch.org/models/...)']
    if not _torchvision_imports():
        cures.append('install a torchvision that was built for this torch')
    return f'mmengine knows no address of {filename}: {", ".join(cures[:-1])}, or {cures[-1]}'


def torchvision_address(filename: str) -> str | None:
    """The address of ``torchvision://<name>`` or ``modelzoo://<name>``, or None."""
    addresses = get_torchvision_models() if _torchvision_imports() else mmengine.load(str(_TABLE))
    return addresses.get(filename.partition('://')[2])


def _torchvision_imports() -> bool:
    try:
        import torchvision  # noqa: F401  (not a dependency)
    except Exception:  # a torchvision that was built for another torch fails in ways of its own
        return False
    return True
