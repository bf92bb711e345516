"""Files that are there whole, or not at all."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# In the name of every draft, so that those of dead processes are found and nothing else is.
_MARK = '.draft-'


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A draft to write in a ``with`` block, which takes its place under its name when the block ends.

    No reader ever sees half a file, and a failure leaves the old one. The content is on the disk before the name is, so
    that this holds for a machine that stops too. A process that is killed leaves its draft; the next one that writes a
    file into the same folder removes it.

    Args:
        path: of the file; its folder is made if missing.

    Yields:
        The draft, beside it, with the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_drafts(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.stem}{_MARK}', suffix=path.suffix)
    draft = Path(name)
    try:
        _lock(handle)  # says that its writer lives
        yield draft
        draft.chmod(0o666 & ~_umask())  # mkstemp makes private files
        _flush(draft)
        draft.replace(path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)  # that of a full disk does not say which
        raise
    finally:
        os.close(handle)


def sweep_drafts(folder: str | Path) -> None:
    """Remove the drafts of `written_whole` in a folder whose writers are dead.

    A living writer holds a lock on its draft. On a file system without locks nothing is removed.
    """
    for draft in Path(folder).glob(f'.*{_MARK}*'):
        try:
            handle = os.open(draft, os.O_RDWR)
        except OSError:  # it has just taken its place, or it is somebody else's
            continue
        try:
            if _lock(handle):
                draft.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _lock(handle: int) -> bool:
    """Lock an open file, if nobody else has and the file system can."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _flush(path: Path) -> None:
    with path.open('rb') as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
