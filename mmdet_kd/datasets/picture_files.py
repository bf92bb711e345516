"""Sizes and orientations of picture files, read from their headers, many at a time."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from .data_files import MOST_PICTURE, require_regular

_EXIF_ORIENTATION, _BITS_OF_TIFF, _DEPTH_OF_PNG = 0x0112, 258, 24  # tags, and a place in the file
_DARK, _ALMOST_ALL = 64, 99.9  # of 255, and of the values in percent: single pixels of a camera may be broken
_THREADS = 8  # a disk or a server answers several requests in the time of one
_CHUNK = 64
_UNMARKED = ('BMP', 'TIFF')  # whose end does not show whether they are whole
_ENDINGS = {'JPEG': b'\xff\xd9', 'PNG': b'IEND\xaeB`\x82'}


class Header(NamedTuple):
    """What a pipeline gets from a picture file.

    Args:
        size: width and height in pixels.
        orientation: of EXIF, 1 to 8; 1 is as it is stored.
    """

    size: tuple[int, int]
    orientation: int = 1


class _TooDark(ValueError):
    """A whole picture, whose bits lie where a loader of 8 does not look."""


def picture_size(path: str | Path, turn: bool = True, eight_bits: bool = True) -> tuple[int, int]:
    """Size of the picture that a pipeline gets from a file.

    The header is read, and the last bytes of a JPEG and a PNG. A file that does not end as its format does is decoded,
    and so is one of more than 8 bits a channel, and any BMP and TIFF.

    Args:
        path: a local file.
        turn: whether the EXIF orientation is obeyed, as mmcv does unless told otherwise.
        eight_bits: whether it is loaded with 8 bits a channel, as by mmcv unless told otherwise.

    Returns:
        Width and height in pixels.

    Raises:
        ValueError: it is missing, or no whole picture, or it has 16 bits a channel and would be loaded almost black,
            with the reason.
    """
    return picture_header(path, turn, eight_bits).size


def picture_header(path: str | Path, turn: bool = True, eight_bits: bool = True) -> Header:
    """The same with the orientation; see :func:`picture_size`."""
    try:
        return _read_header(Path(path), turn, eight_bits)
    except _TooDark as error:
        raise ValueError(f'the picture {path} {error}') from None
    except FileNotFoundError:
        raise ValueError(f'there is no picture {path}: put it there') from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f'the picture {path} cannot be read ({error}): copy it again') from error


def picture_sizes(
    paths: Iterable[str | Path], turn: bool = True, eight_bits: bool = True
) -> Iterator[tuple[int, int] | str]:
    """The size of each picture as :func:`picture_size` gives it, or what is wrong with the file, in order."""
    for header in picture_headers(paths, turn, eight_bits):
        yield header if isinstance(header, str) else header.size


def picture_headers(paths: Iterable[str | Path], turn: bool = True, eight_bits: bool = True) -> Iterator[Header | str]:
    """What :func:`picture_header` says of each picture, or what is wrong with the file, in order."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for headers in pool.map(lambda chunk: _headers_of(chunk, turn, eight_bits), _chunks(paths)):
            yield from headers


def _read_header(path: Path, turn: bool, eight_bits: bool) -> Header:
    require_regular(path, MOST_PICTURE)
    with path.open('rb') as file:
        if not file.read(1):
            raise OSError('it is empty')
        file.seek(0)
        try:
            picture = Image.open(file)
        except UnidentifiedImageError:
            return Header(_size_of(_decoded(path)))  # a format that OpenCV knows and Pillow does not, or none
        with picture:
            size, ending = picture.size, _ENDINGS.get(picture.format, b'')
            orientation = _orientation(picture)
            is_deep = _bits(picture, file) > 8
            pixels = _decoded(path) if eight_bits and (is_deep or picture.format in _UNMARKED) else None
            if pixels is not None and is_deep:
                _require_bright(pixels)
            file.seek(-len(ending), 2)
            if ending and file.read() != ending:
                file.seek(0)
                with Image.open(file) as whole:
                    whole.load()
    # Which formats are turned depends on the version of OpenCV; such pictures are rare, so it is asked.
    if turn and orientation in (5, 6, 7, 8):
        size = _size_of(_decoded(path) if pixels is None else pixels)
    return Header(size, orientation)


def _orientation(picture: Image.Image) -> int:
    if 'exif' not in picture.info and picture.format != 'TIFF':
        return 1
    value = picture.getexif().get(_EXIF_ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _bits(picture: Image.Image, file: BinaryIO) -> int:
    """Of a channel, in the formats that may have more than 8."""
    if picture.format == 'PNG':
        file.seek(_DEPTH_OF_PNG)
        return file.read(1)[0]
    if picture.format == 'TIFF':
        return max(picture.tag_v2.get(_BITS_OF_TIFF, (1,)))
    return 8


def _require_bright(pixels: np.ndarray) -> None:
    """Refuse what is almost black: OpenCV keeps the upper 8 bits of 16, of which cameras fill the lower 10 to 14."""
    highest = np.percentile(pixels, _ALMOST_ALL)
    if highest < _DARK:
        raise _TooDark(
            f'has 16 bits a channel, and mmdet would load it almost black, with values up to {highest:.0f} of 255. '
            'Save it with 8 bits, scaled to 0 to 255'
        )


def _decoded(path: Path) -> np.ndarray:
    """The pixels as mmcv loads them. OpenCV is not given the path: it ends the process at a name that is no text."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise OSError('OpenCV cannot decode it')
    return pixels


def _size_of(pixels: np.ndarray) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]


def _headers_of(paths: Sequence[str | Path], turn: bool, eight_bits: bool) -> list[Header | str]:
    headers: list[Header | str] = []
    for path in paths:
        try:
            headers.append(picture_header(path, turn, eight_bits))
        except ValueError as error:
            headers.append(str(error))
    return headers


def _chunks(paths: Iterable[str | Path]) -> Iterator[list[str | Path]]:
    rest = iter(paths)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
