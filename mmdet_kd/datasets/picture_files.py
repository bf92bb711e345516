"""Sizes of picture files, read from their headers, many at a time."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
from PIL import Image, UnidentifiedImageError

from .data_files import MOST_PICTURE, require_regular

_EXIF_ORIENTATION = 0x0112
_THREADS = 8  # a disk or a server answers several requests in the time of one
_CHUNK = 64
_ENDINGS = {'JPEG': b'\xff\xd9', 'PNG': b'IEND\xaeB`\x82'}


def picture_size(path: str | Path, turn: bool = True) -> tuple[int, int]:
    """Size of the picture that a pipeline gets from a file.

    The header is read, and the last bytes; only a file that does not end as its format does is decoded.

    Args:
        path: a local file.
        turn: whether the EXIF orientation is obeyed, as mmcv does unless told otherwise.

    Returns:
        Width and height in pixels.

    Raises:
        ValueError: it is missing, or no whole picture, with the reason.
    """
    try:
        return _read_size(Path(path), turn)
    except FileNotFoundError:
        raise ValueError(f'there is no picture {path}: put it there') from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f'the picture {path} cannot be read ({error}): copy it again') from error


def picture_sizes(paths: Iterable[str | Path], turn: bool = True) -> Iterator[tuple[int, int] | str]:
    """The size of each picture as :func:`picture_size` gives it, or what is wrong with the file, in order."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for sizes in pool.map(lambda chunk: _sizes_of(chunk, turn), _chunks(paths)):
            yield from sizes


def _read_size(path: Path, turn: bool) -> tuple[int, int]:
    require_regular(path, MOST_PICTURE)
    with path.open('rb') as file:
        if not file.read(1):
            raise OSError('it is empty')
        file.seek(0)
        try:
            picture = Image.open(file)
        except UnidentifiedImageError:
            return _decoded_size(path)  # a format that OpenCV knows and Pillow does not, or none
        with picture:
            size, ending = picture.size, _ENDINGS.get(picture.format, b'')
            sideways = 'exif' in picture.info and picture.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
            file.seek(-len(ending), 2)
            if ending and file.read() != ending:
                file.seek(0)
                with Image.open(file) as whole:
                    whole.load()
    # Which formats are turned depends on the version of OpenCV; such pictures are rare, so it is asked.
    return _decoded_size(path) if sideways and turn else size


def _decoded_size(path: Path) -> tuple[int, int]:
    pixels = cv2.imread(str(path))
    if pixels is None:
        raise OSError('OpenCV cannot decode it')
    return pixels.shape[1], pixels.shape[0]


def _sizes_of(paths: Sequence[str | Path], turn: bool) -> list[tuple[int, int] | str]:
    sizes: list[tuple[int, int] | str] = []
    for path in paths:
        try:
            sizes.append(picture_size(path, turn))
        except ValueError as error:
            sizes.append(str(error))
    return sizes


def _chunks(paths: Iterable[str | Path]) -> Iterator[list[str | Path]]:
    rest = iter(paths)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
