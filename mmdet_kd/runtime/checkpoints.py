"""Opening a checkpoint as data, never as code, with one clear error if it cannot be.

Every file that a tool, a hook or mmengine's Runner opens comes through :func:`read_checkpoint`.
"""

import pickle
import re
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import find_latest_checkpoint
from torch import Tensor

from ..errors import DistillationError
from .pickled import check_contents, scan

#: What torch's weights-only loader says of a pickle that names something to call.
_REFUSED = re.compile('GLOBAL|Trying to call reduce|Can only (create|build)')
_ZIP = b'PK\x03\x04'  # by which torch tells its format from the older one
#: How files begin that are sometimes named, or downloaded, in the place of a checkpoint.
_OTHER_FILES = {
    b'\xff\xd8\xff': 'a JPEG picture',
    b'\x89PNG': 'a PNG picture',
    b'version https://git-lfs': 'a pointer of git LFS, which `git lfs pull` replaces by the file',
    b'<': 'a web page',
}
_PICKLES_OF_OLD_FORMAT = 5
_LISTED = 10
_REAL = ('weight', 'bias', 'running_mean', 'running_var')


def read_checkpoint(
    path: str | Path, what: str = 'checkpoint', map_location: Any = 'cpu', with_sums: bool | None = None
) -> Any:
    """Open a checkpoint file: tensors and plain values, and nothing that a file could make of them.

    The file is looked at before it is opened: that it is a regular file, as large as it says, with the checksums that
    it was saved with, and that its pickle calls nothing but what weights need.

    Args:
        path: a local file.
        what: how the error calls it.
        map_location: where the tensors go; `meta` reads the structure and no weights, in milliseconds.
        with_sums: whether to compare the checksums, for which the whole file is read. None: unless on `meta`.

    Raises:
        DistillationError: the file is missing, truncated or corrupt, holds more than weights and plain values, or
            opening it would run code.
    """
    path = Path(path).expanduser()
    _require_regular(path, what)
    _refuse_other_files(path, what)
    try:
        is_zip = _is_zip(path)
        if is_zip:
            _check_archive(path, with_sums=map_location != 'meta' if with_sums is None else with_sums)
        else:
            with path.open('rb') as stream:
                for _ in range(_PICKLES_OF_OLD_FORMAT):
                    scan(stream)
        # Its structure first, without memory for what a file may claim. Only torch's zip format, the default since
        # torch 1.6, can be mapped instead of read.
        content = torch.load(path, map_location='meta', weights_only=True, mmap=is_zip)
        check_contents(content, path.stat().st_size)
        return content if map_location == 'meta' else torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        if isinstance(error.__context__, pickle.UnpicklingError):
            error = error.__context__  # torch wraps it in its advice to load the file without the check
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


def find_weights(
    checkpoint: Any, source: str | Path, what: str = 'checkpoint', bare: bool = False
) -> dict[str, Tensor]:
    """The weights in a checkpoint.

    Args:
        checkpoint: as :func:`read_checkpoint` returns it.
        source: its path or URL, for the error.
        what: how the error calls it.
        bare: whether weights that lie under 'model', or under no name, are meant too.

    Raises:
        DistillationError: there are none, or one is not finite, not of real numbers, or has a name that is none.
    """
    weights = checkpoint.get('state_dict') if isinstance(checkpoint, dict) else None
    if bare and weights is None and isinstance(checkpoint, dict):
        weights = checkpoint.get('model', checkpoint)
    is_weights = isinstance(weights, dict) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in weights.items()
    )
    if not is_weights or not weights:
        also = ", or these under 'state_dict'" if bare else " under 'state_dict', as a training saves them"
        raise DistillationError([f'the {what} {source} holds no weights: expected tensors by name{also}'])
    odd = [key for key in weights if not key.isprintable()]
    odd += [f'{key} ({value.dtype})' for key, value in weights.items() if _is_of_another_kind(key, value)]
    odd += [f'{key} (NaN or infinite)' for key, value in weights.items() if not _is_finite(value)]
    if odd:
        more = f' and {len(odd) - _LISTED} more' if len(odd) > _LISTED else ''
        listed = ', '.join(repr(name[:200]) for name in odd[:_LISTED]) + more
        raise DistillationError(
            [
                f'the {what} {source} holds what is no weight of a network: {listed}. Name an earlier or another '
                'checkpoint'
            ]
        )
    return weights


def _is_of_another_kind(key: str, value: Tensor) -> bool:
    """Whether it is complex, or counts or truth values under a name that torch's modules give to real numbers."""
    is_real = key.rpartition('.')[2] in _REAL
    return value.is_complex() or (is_real and not value.is_floating_point())


def _is_finite(value: Tensor) -> bool:
    if value.is_meta or not value.is_floating_point():
        return True
    return bool(torch.isfinite(value if value.element_size() > 1 else value.float()).all())


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
            read_checkpoint(path, map_location='meta', with_sums=True)
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


def _require_regular(path: Path, what: str) -> None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        problem = f"there is no {what} '{path}' (looked at {path.absolute()}). Correct the path"
        raise DistillationError([problem]) from None
    if not stat.S_ISREG(mode):
        kind = 'a folder' if stat.S_ISDIR(mode) else 'a pipe, a socket or a device'
        problem = f"there is no {what} '{path}': it is {kind} (looked at {path.absolute()}). Correct the path"
        raise DistillationError([problem])


def _refuse_other_files(path: Path, what: str) -> None:
    with path.open('rb') as stream:
        beginning = stream.read(max(map(len, _OTHER_FILES)))
    kind = next((kind for start, kind in _OTHER_FILES.items() if beginning.startswith(start)), None)
    if kind is not None:
        raise DistillationError([f'the {what} {path} is {kind}. Name a file that a training saved (.pth)'])


def _is_zip(path: Path) -> bool:
    with path.open('rb') as stream:
        return stream.read(len(_ZIP)) == _ZIP


def _check_archive(path: Path, with_sums: bool) -> None:
    """Look at the archive, at the pickle in it and at the checksums, which torch writes and does not read itself."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename.lower() for entry in entries]
        pickles = [entry for entry in entries if entry.filename.endswith('/data.pkl')]
        if len(pickles) != 1 or len(set(names)) != len(names):
            raise zipfile.BadZipFile('it is an archive, but not one that torch.save makes')
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise zipfile.BadZipFile('it is compressed or encrypted, which torch.save never does')
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise zipfile.BadZipFile('it claims more bytes than it has')
        damaged = archive.testzip() if with_sums else None
        if damaged:
            raise zipfile.BadZipFile(f'{damaged!r} is not what was saved')
        with archive.open(pickles[0]) as stream:
            scan(stream)


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
    line = next((line for line in lines if 'GLOBAL' in line or 'reduce' in line), '')[:300]
    return line if line and line.isprintable() else _first_line(error)


def _first_line(error: Exception) -> str:
    line = str(error).strip().split('\n')[0][:300] or type(error).__name__
    return line if line.isprintable() else ascii(line)  # a file's own bytes must not reach the terminal


def classes_of_checkpoint(checkpoint: Any, source: str | Path) -> tuple[str, ...] | None:
    """The classes that a checkpoint was trained on, as mmdet 2.x or 3.x notes them; None if it does not say.

    Raises:
        DistillationError: it names them by something else than strings.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict):
        return None
    dataset_meta = meta.get('dataset_meta')
    dataset_meta = dataset_meta if isinstance(dataset_meta, dict) else {}
    # mmdet 2.x: meta['CLASSES']; early 3.x: dataset_meta['CLASSES']
    for holder, key in ((dataset_meta, 'classes'), (dataset_meta, 'CLASSES'), (meta, 'CLASSES')):
        classes = holder.get(key)
        if classes:
            if isinstance(classes, str):
                raise DistillationError(
                    [
                        f'the checkpoint {source} names its classes by one string, {classes!r}, most likely a tuple '
                        f'without its comma. Save it with meta[...][{key!r}] = ({classes!r},), or with all its '
                        'names'
                    ]
                )
            if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
                raise DistillationError(
                    [f'the checkpoint {source} names its classes by something else than strings: {classes!r:.200}']
                )
            return tuple(classes)
    return None
