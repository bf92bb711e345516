"""Files of a data set, which come from anywhere: kind and size are looked at before a byte is read."""

import json
import stat
from pathlib import Path
from typing import Any

MOST_JSON = 8 << 30  # bytes; the largest public sets in COCO's format have several GiB, LVIS 1.1
MOST_ANNOTATION = (
    16 << 20
)  # one picture's annotation; 10,000 objects take about 3 MiB, a parsed tree ten times its file
MOST_PICTURE = 1 << 30  # OpenCV itself decodes no more than 2^30 pixels
MOST_LIST = 256 << 20  # a list of names, one a line
_FIRST = 4096  # bytes in which a JSON has begun


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
        OSError: it cannot be opened, or :func:`require_regular` refuses it.
        ValueError: it is no JSON.
    """
    require_regular(path, MOST_JSON)
    with path.open('rb') as file:
        if not file.read(_FIRST).lstrip().startswith((b'{', b'[')):  # a large file of anything else is not read
            raise ValueError('it does not begin with { or [')
    try:
        return json.loads(path.read_text())
    except RecursionError:
        raise ValueError('its lists or objects are nested too deeply') from None
