"""What mmengine loads from elsewhere, through the one reader of checkpoints.

mmengine's own loaders download a file and open it with ``torch.load`` alone. These put the file on the disk and have
:func:`load_from_file` look at it. What does not open is removed, so that the next attempt downloads it anew.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.fileio import get_file_backend
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
)

from ..errors import DistillationError
from .downloads import downloaded
from .mmengine_loader import load_from_file
from .torchvision_names import PREFIXES, torchvision_address, torchvision_problem

_WEB = ('http://', 'https://')
_OPENMMLAB = ('open-mmlab://', 'openmmlab://')
_MMCLS = 'mmcls://'
_STORES = (r'(\S+\:)?s3://', r'(\S+\:)?petrel://')  # as mmengine registers them
_BACKBONE = 'backbone.'  # the part of a classifier of mmpretrain that a detector takes


def register_remote_loaders() -> None:
    """Tell mmengine's registry of loaders to load addresses and names through the functions of this file."""
    CheckpointLoader.register_scheme(_WEB, load_from_address, force=True)
    CheckpointLoader.register_scheme(PREFIXES, load_from_torchvision_name, force=True)
    CheckpointLoader.register_scheme(_OPENMMLAB, load_from_openmmlab_name, force=True)
    CheckpointLoader.register_scheme(_MMCLS, load_from_mmcls_name, force=True)
    CheckpointLoader.register_scheme(_STORES, load_from_store, force=True)
    CheckpointLoader.register_scheme('pavi://', load_from_pavi_name, force=True)


def load_from_address(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load the file at an http(s) address; it is downloaded once to torch's hub folder.

    Args:
        filename: the address.
        map_location: as in :func:`torch.load`.

    Raises:
        DistillationError: it cannot be downloaded, cannot be opened as data, or holds no weights.
    """
    path = downloaded(filename)
    try:
        return load_from_file(path, map_location)
    except DistillationError as error:
        path.unlink(missing_ok=True)
        raise DistillationError([f'{filename}: {problem}' for problem in error.problems]) from error


def load_from_torchvision_name(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load the file that torchvision publishes as ``torchvision://<name>`` or ``modelzoo://<name>``.

    Raises:
        DistillationError: the name has no known address; or as :func:`load_from_address`.
    """
    return _load_named(filename, torchvision_address(filename), torchvision_problem(filename), map_location)


def load_from_openmmlab_name(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load the file that mmengine's table has under ``open-mmlab://<name>``.

    Raises:
        DistillationError: the name has no known address; or as :func:`load_from_address`.
    """
    return _load_named(filename, openmmlab_address(filename), None, map_location)


def load_from_mmcls_name(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load the backbone in the file that mmengine's table has under ``mmcls://<name>``.

    Returns:
        Its weights as a ``state_dict``, under the names that a backbone has by itself.

    Raises:
        DistillationError: the name has no known address; or as :func:`load_from_address`.
    """
    content = _load_named(filename, mmcls_address(filename), None, map_location)
    weights = content.get('state_dict', content)
    return {'state_dict': {k[len(_BACKBONE) :]: v for k, v in weights.items() if k.startswith(_BACKBONE)}}


def load_from_store(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a file from an object store (``s3://``, ``petrel://``), by the backend that mmengine has for it.

    Raises:
        DistillationError: it cannot be opened as data, or holds no weights.
    """
    content = get_file_backend(filename, backend_args={'backend': 'petrel'}).get(filename)
    with TemporaryDirectory() as folder:
        path = Path(folder, Path(filename).name)
        path.write_bytes(content)
        try:
            return load_from_file(path, map_location)
        except DistillationError as error:
            raise DistillationError([f'{filename}: {problem}' for problem in error.problems]) from error


def load_from_pavi_name(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Refuse ``pavi://``: its client opens the file by itself.

    Raises:
        DistillationError: always.
    """
    del map_location
    raise DistillationError([f'{filename}: {PAVI_PROBLEM}'])


#: Why a name of pavi is not loaded.
PAVI_PROBLEM = 'files of pavi are not loaded by name, since nothing looks at them first. Download it and name the file'


def openmmlab_address(filename: str) -> str | None:
    """The address that mmengine's table has for ``open-mmlab://<name>``, or None."""
    name = filename.partition('://')[2]
    return get_external_models().get(get_deprecated_model_names().get(name, name))


def mmcls_address(filename: str) -> str | None:
    """The address that mmengine's table has for ``mmcls://<name>``, or None."""
    return get_mmcls_models().get(filename.partition('://')[2])


def _load_named(filename: str, address: str | None, problem: str | None, map_location: Any) -> dict[str, Any]:
    if address is None:
        raise DistillationError([problem or f"{filename}: the name is not in mmengine's table of it. Correct it"])
    if not address.startswith(_WEB):  # a table of the user's own may name files of his
        raise DistillationError([f"{filename}: mmengine's table has the local file {address!r}. Name its path"])
    return load_from_address(address, map_location)
