"""Reading a ``.caffemodel``: the layers' names and blobs, and nothing else of it.

A file is Caffe's ``NetParameter`` in the wire format of protocol buffers. What is read here of ``caffe.proto``, by the
numbers of the fields, which cannot change:

======================  =======================================================================
``NetParameter``        ``layer`` 100 (``LayerParameter``), or ``layers`` 2 (``V1LayerParameter``)
``LayerParameter``      ``name`` 1, ``blobs`` 7
``V1LayerParameter``    ``name`` 4, ``blobs`` 6; or, the oldest, ``layer`` 1 (``V0LayerParameter``)
``V0LayerParameter``    ``name`` 1, ``blobs`` 50
``BlobProto``           ``data`` 5 or ``double_data`` 8; ``shape`` 7 (``dim`` 1), or the oldest,
                        ``num`` 1, ``channels`` 2, ``height`` 3, ``width`` 4
======================  =======================================================================
"""

import math
import mmap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.data_files import require_regular
from ..errors import DistillationError

#: The fields of a message by number: an int for a varint, else a memoryview of the bytes.
_Message = Mapping[int, Sequence[Any]]


#: protobuf's own bound of a message, and so of a file.
_MOST_BYTES = 2 << 30
#: Fields in a file. A network has some ten thousand; a writer that does not pack the weights makes one of each number.
_MOST_FIELDS = 2_000_000
_MOST_DIMS = 32  # of a blob, in Caffe
_LONGEST_VARINT = 70  # bits, seven of a byte, of the 64 that a number has


def read_caffemodel(path: str | Path) -> dict[str, np.ndarray]:
    """Read the weights of a ``.caffemodel``.

    Args:
        path: a local file.

    Returns:
        ``<layer>.weight``, ``<layer>.bias`` (and ``<layer>.blob2``, ...) -> array, in the shape that the file gives,
        of single or double precision.

    Raises:
        DistillationError: there is no such file, it is truncated, or it is something else.
    """
    path = Path(path).expanduser()
    try:
        require_regular(path, _MOST_BYTES)
    except FileNotFoundError:
        raise DistillationError(
            [f"there is no Caffe model '{path}' (looked at {path.absolute()}). Correct the path"]
        ) from None
    except OSError as error:
        raise DistillationError([f"there is no Caffe model '{path}': {error}. Name a file"]) from error
    size = path.stat().st_size
    try:
        with path.open('rb') as file:  # mapped, so that what is no weight is not read into memory
            weights = _Reader().net(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise DistillationError(
            [f'{path} ({size} bytes) is truncated or no .caffemodel: copy or download it again. ({error})']
        ) from error
    if not weights:
        raise DistillationError([f'{path} holds no weights: name a trained .caffemodel, not a definition of a network'])
    return weights


class _Reader:
    """Reads one file, and counts its fields."""

    def __init__(self) -> None:
        self._count = 0

    def net(self, content: memoryview) -> dict[str, np.ndarray]:
        net = self._fields(content)
        layers = [self._layer(self._fields(layer), name=1, blobs=7) for layer in net[100]]
        for layer in map(self._fields, net[2]):
            layers += [self._layer(self._fields(oldest), name=1, blobs=50) for oldest in layer[1]]
            layers.append(self._layer(layer, name=4, blobs=6))
        return {key: array for layer in layers for key, array in layer.items()}

    def _layer(self, layer: _Message, name: int, blobs: int) -> dict[str, np.ndarray]:
        """The blobs of a layer, of which the fields ``name`` and ``blobs`` are the numbers."""
        if not layer[blobs]:
            return {}
        title = bytes(layer[name][-1]).decode()
        parts = ['weight', 'bias', *(f'blob{i}' for i in range(2, len(layer[blobs])))]
        values = map(self._blob, map(self._fields, layer[blobs]))
        return {f'{title}.{part}': value for part, value in zip(parts, values, strict=False)}

    def _blob(self, blob: _Message) -> np.ndarray:
        field, dtype = (8, '<f8') if blob[8] else (5, '<f4')
        values = np.frombuffer(bytearray().join(blob[field]), dtype)
        if blob[7]:
            dims = _integers(self._fields(blob[7][-1])[1])
        else:
            dims = [blob[number][-1] if blob[number] else 0 for number in (1, 2, 3, 4)]
        if not all(isinstance(dim, int) for dim in dims) or math.prod(dims) != len(values):
            raise ValueError(f'a blob of {len(values)} values says that its shape is {dims}')
        return values.reshape(dims)

    def _fields(self, message: int | memoryview) -> _Message:
        """Take a message apart, without copying it."""
        if isinstance(message, int):
            raise ValueError('a number where a message should be')
        fields: defaultdict[int, list[Any]] = defaultdict(list)
        place = 0
        while place < len(message):
            self._count += 1
            if self._count > _MOST_FIELDS:
                raise ValueError(f'more than {_MOST_FIELDS} fields')
            tag, place = _varint(message, place)
            number, wire_type = tag >> 3, tag & 7
            if number == 0:
                raise ValueError('a field without a number')
            if wire_type == 0:
                value, place = _varint(message, place)
                fields[number].append(value)
                continue
            if wire_type == 2:
                length, place = _varint(message, place)
            elif wire_type in (1, 5):
                length = 8 if wire_type == 1 else 4
            else:
                raise ValueError(f'a field of the unknown type {wire_type}')
            if place + length > len(message):
                raise ValueError(f'a field ends {place + length - len(message)} bytes behind the end')
            fields[number].append(message[place : place + length])
            place += length
        return fields


def _integers(values: Sequence[Any]) -> list[int]:
    """The integers of a repeated field, which are packed into bytes or not."""
    integers: list[int] = []
    for value in values:
        place = 0
        while len(integers) <= _MOST_DIMS:
            if isinstance(value, int):
                integers.append(value)
                break
            if place == len(value):
                break
            integer, place = _varint(value, place)
            integers.append(integer)
    if len(integers) > _MOST_DIMS:
        raise ValueError(f'a blob of more than {_MOST_DIMS} dimensions')
    return integers


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number at a place, seven bits a byte, and the place behind it."""
    value = shift = 0
    while shift < _LONGEST_VARINT:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError('a number of more than 64 bits')
