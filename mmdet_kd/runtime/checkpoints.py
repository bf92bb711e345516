"""Opening a checkpoint as data, never as code, with one clear error if it cannot be."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from ..errors import DistillationError


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
        return torch.load(path, map_location=map_location, weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if 'GLOBAL' not in str(error) and not zipfile.is_zipfile(path):
            raise _corrupt(path, what, error) from error
        raise DistillationError(
            [
                f'the {what} {path} holds more than weights, and opening it could run code; it was not opened. If you '
                f"trust it, save its weights alone where it was made: torch.save({{'state_dict': ...}}, ...). "
                f'({_offender(error)})'
            ]
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AssertionError, zipfile.BadZipFile) as error:
        raise _corrupt(path, what, error) from error


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
