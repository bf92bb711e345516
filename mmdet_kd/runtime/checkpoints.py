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
    """The checkpoint to resume a run from: the newest that is whole.

    The one that mmengine noted is asked first, as the file of that name in this work dir, which may have been moved or
    copied since. Before it come later ones of the same run that were saved after the note: the run was killed between
    the two. What does not open is skipped with a warning that says why.

    Raises:
        DistillationError: there are checkpoints, and none of them opens.
    """
    skipped: list[DistillationError] = []
    for path in _newest_first(Path(work_dir)):
        try:
            read_checkpoint(path, map_location='meta')
        except DistillationError as error:
            skipped.append(error)
        else:
            for error in skipped:
                warnings.warn(f'resuming from {path.name}, not from the latest: {error}', stacklevel=2)
            return path
    if skipped:
        raise skipped[0]
    return None


def _newest_first(work_dir: Path) -> list[Path]:
    """Where checkpoints of a run lie or should lie, in the order in which to try them."""
    saved = [path for path in work_dir.glob('*.pth') if _step(path) is not None]
    saved.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    noted, note = _noted(work_dir), work_dir / 'last_checkpoint'
    if noted is None:
        return saved
    later = [path for path in saved if path.stat().st_mtime > note.stat().st_mtime and _is_later(path, noted)]
    return list(dict.fromkeys([*later, noted, *saved]))


def _noted(work_dir: Path) -> Path | None:
    """What mmengine noted as the last checkpoint, in this work dir if a file of that name is there."""
    text = find_latest_checkpoint(str(work_dir))
    if not text:
        return None
    own = work_dir / Path(text).name
    return own if own.exists() else Path(text)


def _is_later(path: Path, other: Path) -> bool:
    """Whether a checkpoint is of a later epoch, or of a later iteration."""
    mine, its = _step(path), _step(other)
    return mine is not None and its is not None and mine[0] == its[0] and mine[1] > its[1]


def _step(path: Path) -> tuple[str, int] | None:
    """(`epoch` or `iter`, number) in the name that mmengine gives a checkpoint."""
    found = re.fullmatch(r'(epoch|iter)_(\d+)\.pth', path.name)
    return (found[1], int(found[2])) if found else None


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
