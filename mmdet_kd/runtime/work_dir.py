"""A work dir belongs to one training at a time."""

import errno
import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

from ..errors import DistillationError

#: No room on a disk, in a quota, or for one file.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What launchers call the number of a process among all: torchrun, Slurm, Open MPI.
_RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')


def make_work_dir(work_dir: str | Path) -> None:
    """Make a work dir if it is missing, and try to write into it.

    Raises:
        DistillationError: it cannot be made or written to; says why.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=work_dir):
            pass
    except OSError as error:
        if error.errno in FULL:
            raise
        reason = f'{error.strerror}: {error.filename}' if error.filename else error.strerror
        raise DistillationError(
            [f"nothing can be written into the work dir '{work_dir}' ({reason}). Name another by --work-dir"]
        ) from error


@contextmanager
def owned_work_dir(work_dir: str | Path, launcher: str = 'none') -> Iterator[None]:
    """Own a work dir in a ``with`` block; only the first rank asks, for all of them.

    The operating system gives it back when the process ends, however it ends, and its data workers do not keep it. A
    file system without locks is warned of, since two trainings would mix there.

    Args:
        work_dir: made if missing; the file `.owner` in it is locked, and says whose it is.
        launcher: that started this process, as mmengine calls it.

    Raises:
        DistillationError: it cannot be made or written to, or another process trains in it.
    """
    if launcher != 'none' and _launched_rank() != 0:
        yield
        return
    make_work_dir(work_dir)
    path = Path(work_dir) / '.owner'
    with path.open('a+') as file:
        _lock(file, path)
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}')
        file.flush()
        yield


def _lock(file: TextIO, path: Path) -> None:
    """Lock an open file as this process's own: unlike a lock of `flock`, children do not inherit it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:  # the two that POSIX allows for a lock that is held
        file.seek(0)
        raise DistillationError(
            [
                f"another training runs in the work dir '{path.parent}' ({file.read() or 'unknown process'}): their "
                'checkpoints and logs would mix. Wait for it, stop it, or give this one another --work-dir'
            ]
        ) from error
    except OSError as error:
        warnings.warn(
            f"the file system of the work dir '{path.parent}' has no locks ({error}): see to it that no other training "
            'runs in it',
            stacklevel=4,
        )


def _launched_rank() -> int:
    return next((int(os.environ[name]) for name in _RANKS if name in os.environ), 0)
