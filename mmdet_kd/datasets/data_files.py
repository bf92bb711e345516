"""Files of a data set, which come from anywhere: kind and size are looked at before a byte is read."""

import codecs
import json
import stat
from pathlib import Path
from typing import Any

from .memory import free_memory

MOST_JSON = 8 << 30  # bytes; the largest public sets in COCO's format have several GiB, LVIS 1.1
MOST_ANNOTATION = (
    16 << 20
)  # one picture's annotation; 10,000 objects take about 3 MiB, a parsed tree ten times its file
MOST_PICTURE = 1 << 30  # OpenCV itself decodes no more than 2^30 pixels
MOST_LIST = 256 << 20  # a list of names, one a line
_FIRST = 4096  # bytes in which a JSON has begun
_CHUNK = 16 << 20  # bytes that are looked at together
_SMALL = 4 << 20  # bytes up to which a JSON is parsed without a look at the memory
#: Bytes that a parsed value takes at most, by the character that makes it: lists and dicts, of up to five keys; a
#: number and its place in a list; a key's entry and its number; half a string.
_TAKES = {b'[': 96, b'{': 112, b',': 44, b':': 56, b'"': 26}
_ASCII, _WIDE = 2, 9  # times its size: the text as bytes and as characters, and of up to four bytes each, twice


def require_regular(path: Path, most: int) -> None:
    """Look at a file without opening it: opening a FIFO waits for ever, and a device has no end.

    Args:
        path: of the file; links are followed.
        most: size in bytes up to which it is read.

    Raises:
        OSError: it is missing, no regular file, or larger.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError('it is no regular file but a folder, a pipe or a device')
    if status.st_size > most:
        raise OSError(f'it has {status.st_size} bytes; more than {most} are not read')


def read_json(path: Path) -> Any:
    """The content of a JSON file that begins as an object or a list.

    Raises:
        OSError: it cannot be opened, or :func:`require_regular` refuses it, or it would take more memory than is free.
        ValueError: it is no JSON.
    """
    require_regular(path, MOST_JSON)
    with path.open('rb') as file:
        first = file.read(_FIRST)
    if first.startswith(codecs.BOM_UTF8):
        raise ValueError('it begins with a byte order mark, which JSON has not; save it as plain UTF-8')
    if not first.lstrip().startswith((b'{', b'[')):  # a large file of anything else is not read
        raise ValueError('it does not begin with { or [')
    _require_room(path)
    try:
        return json.loads(path.read_text())
    except RecursionError:
        raise ValueError('its lists or objects are nested too deeply') from None


def parsed_size(path: Path) -> int:
    """How many bytes a JSON takes at most while it is parsed, text and values; for COCO's, some twice too many."""
    size, times = 0, _ASCII
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            size += sum(each * chunk.count(character) for character, each in _TAKES.items())
            times = times if chunk.isascii() else _WIDE
    return size + times * path.stat().st_size


def _require_room(path: Path) -> None:
    """Refuse a JSON that would fill the memory, where the operating system would end this process or another one."""
    if path.stat().st_size <= _SMALL:
        return
    free, needed = free_memory(), parsed_size(path)
    if free is not None and needed > free:
        raise OSError(
            f'it has {path.stat().st_size} bytes and would take some {needed / 2**30:.1f} GiB of memory, of which '
            f'{free / 2**30:.1f} GiB are free; split it, or take a machine with more'
        )
