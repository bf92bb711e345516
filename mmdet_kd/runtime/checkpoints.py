"""Opening a checkpoint as data, never as code, with one clear error if it cannot be."""

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import find_latest_checkpoint

from ..errors import DistillationError

#: What torch's weights-only loader says of a pickle that names something to call.
_REFUSED = re.compile('GLOBAL|Trying to call reduce|Can only (create|build)')


def read_checkpoint(path: str | Path, what: str = 'checkpoint', map_location: str = 'cpu') -> Any:
    """Open a checkpoint file with torch's weights-only loader.

    Args:
        path: a local file.
        what: how the error calls it.
        map_location: where the tensors go; `meta` reads the structure and no weights, in milliseconds.

    Raises:
        DistillationError: the file is missing, truncated or corrupt, or opening it would run code.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DistillationError([f"there is no {what} '{path}' (looked at {path.absolute()}). Correct the path"])
    # Only torch's zip format, the default since torch 1.6, can be mapped instead of read.
    mapped = map_location == 'meta' and zipfile.is_zipfile(path)
    try:
        if map_location != 'meta':
            _check_sums(path)
        return torch.load(path, map_location=map_location, weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if not _REFUSED.search(str(error)):
            raise _corrupt(path, what, error) from error
        raise DistillationError(
            [
                f'the {what} {path} holds more than weights, and opening it could run code; it was not opened. If you '
                f"trust it, save its weights alone where it was made: torch.save({{'state_dict': ...}}, ...). "
                f'({_offender(error)})'
            ]
        ) from error
    except Exception as error:  # a damaged pickle may raise anything
        raise _corrupt(path, what, error) from error


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint to resume a run from: the last that mmengine noted or, if that does not open, the newest.

    A run that is killed while it saves leaves half a file, or no note of which file is the last.

    Raises:
        DistillationError: there are checkpoints, and none of them opens.
    """
    noted = find_latest_checkpoint(str(work_dir))
    saved = [path for path in Path(work_dir).glob('*.pth') if re.fullmatch(r'(epoch|iter)_\d+\.pth', path.name)]
    saved.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    problem = None
    for path in dict.fromkeys([*([Path(noted)] if noted else []), *saved]):
        try:
            read_checkpoint(path, map_location='meta')
        except DistillationError as error:
            problem = problem or error
            warnings.warn(f'not resuming from it: {error}', stacklevel=2)
        else:
            return path
    if problem is not None:
        raise problem
    return None


def _check_sums(path: Path) -> None:
    """Look at the checksum that torch writes beside each tensor and does not read itself."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f'{damaged} is not what was saved')


def _corrupt(path: Path, what: str, error: Exception) -> DistillationError:
    return DistillationError(
        [
            f'the {what} {path} ({path.stat().st_size} bytes) is truncated or corrupt: copy or download it again, or '
            f'name an earlier one. ({_first_line(error)})'
        ]
    )


def _offender(error: Exception) -> str:
    """The line of torch's long explanation that names what it refused."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if 'GLOBAL' in line or 'reduce' in line), _first_line(error))


def _first_line(error: Exception) -> str:
    return str(error).strip().split('\n')[0] or type(error).__name__
