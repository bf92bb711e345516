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
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DistillationError

#: The fields of a message by number: an int for a varint, else a memoryview of the bytes.
_Message = Mapping[int, Sequence[Any]]


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
    if not path.is_file():
        raise DistillationError([f"there is no Caffe model '{path}' (looked at {path.absolute()}). Correct the path"])
    content = path.read_bytes()
    try:
        weights = _net(_fields(memoryview(content)))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise DistillationError(
            [f'{path} ({len(content)} bytes) is truncated or no .caffemodel: copy or download it again. ({error})']
        ) from error
    if not weights:
        raise DistillationError([f'{path} holds no weights: name a trained .caffemodel, not a definition of a network'])
    return weights


def _net(net: _Message) -> dict[str, np.ndarray]:
    layers = [_layer(_fields(layer), name=1, blobs=7) for layer in net[100]]
    for layer in map(_fields, net[2]):
        layers += [_layer(_fields(oldest), name=1, blobs=50) for oldest in layer[1]]
        layers.append(_layer(layer, name=4, blobs=6))
    return {key: array for layer in layers for key, array in layer.items()}


def _layer(layer: _Message, name: int, blobs: int) -> dict[str, np.ndarray]:
    """The blobs of a layer, of which the fields ``name`` and ``blobs`` are the numbers."""
    if not layer[blobs]:
        return {}
    title = bytes(layer[name][-1]).decode()
    parts = ['weight', 'bias', *(f'blob{i}' for i in range(2, len(layer[blobs])))]
    return {f'{title}.{part}': _blob(_fields(blob)) for part, blob in zip(parts, layer[blobs], strict=False)}


def _blob(blob: _Message) -> np.ndarray:
    field, dtype = (8, '<f8') if blob[8] else (5, '<f4')
    values = np.frombuffer(bytearray().join(blob[field]), dtype)
    if blob[7]:
        dims = _integers(_fields(blob[7][-1])[1])
    else:
        dims = [blob[field][-1] if blob[field] else 0 for field in (1, 2, 3, 4)]
    if math.prod(dims) != len(values):
        raise ValueError(f'a blob of {len(values)} values says that its shape is {dims}')
    return values.reshape(dims)


def _integers(values: Sequence[Any]) -> list[int]:
    """The integers of a repeated field, which are packed into bytes or not."""
    integers = []
    for value in values:
        if isinstance(value, int):
            integers.append(value)
            continue
        place = 0
        while place < len(value):
            integer, place = _varint(value, place)
            integers.append(integer)
    return integers


def _fields(message: int | memoryview) -> _Message:
    """Take a message apart, without copying it."""
    if isinstance(message, int):
        raise ValueError('a number where a message should be')
    fields: defaultdict[int, list[Any]] = defaultdict(list)
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire_type = tag >> 3, tag & 7
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


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number at a place, seven bits a byte, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
