"""Digests of files and of weights, by which a resumed run knows them again."""

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..datasets.data_files import MOST_ANNOTATION, MOST_JSON

_CHUNK = 1 << 20  # bytes


def files_digest(paths: Iterable[Path]) -> dict:
    """Describe some files by their contents, one after the other; their folders do not matter.

    Returns:
        `file`, the name of the first; `bytes`, of all; `digest` of the contents. A file that is missing counts as
        empty, and so does one that is too large to be read: whoever reads it says so.
    """
    digest, size, first = hashlib.sha256(), 0, None
    for path in paths:
        first = first or path.name
        if not path.is_file() or path.stat().st_size > _most(path):
            continue
        with path.open('rb') as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        digest.update(b'\0end of file\0')
    return {'file': first, 'bytes': size, 'digest': digest.hexdigest()}


def _most(path: Path) -> int:
    return MOST_ANNOTATION if path.suffix == '.xml' else MOST_JSON


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """The digest of tensors with their names, types and shapes, in whatever order and wherever they are."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f'{name} {value.dtype} {tuple(value.shape)}\n'.encode())
        digest.update(memoryview(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def archive_digest(path: Path) -> str | None:
    """The digest of the checksums in a checkpoint of torch's zip format, of which no weight is read.

    The same digest means the same contents, since the reader of checkpoints compares the checksums with what it reads.
    Another one may be of the same weights beside other numbers. None is for a file of another format.
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        entries = [(entry.filename.partition('/')[2], entry.file_size, entry.CRC) for entry in archive.infolist()]
    held = sorted(entry for entry in entries if entry[0] == 'data.pkl' or entry[0].startswith('data/'))
    return hashlib.sha256(repr(held).encode()).hexdigest()
