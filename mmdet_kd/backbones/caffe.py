"""From the names of Caffe to those of this package.

Caffe's layer, the module that takes its weight and bias, and the shape of the weight. The input is BGR, less
(103.939, 116.779, 123.68), between 0 and 255: ``data_preprocessor=dict(mean=[103.939, 116.779, 123.68], std=[1, 1, 1],
bgr_to_rgb=False)``. What a fully connected layer sees is flattened in the same order in Caffe as in torch: channels,
height, width.
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..datasets.data_files import require_regular
from ..errors import DistillationError, raise_if_any
from ..runtime import read_checkpoint
from .caffemodel import read_caffemodel


class CaffeLayer(NamedTuple):
    """A line of a key map."""

    caffe: str
    module: str
    shape: tuple[int, ...]


KEY_MAPS = {
    # bvlc_alexnet. bvlc_reference_caffenet ("CaffeNet") has the same shapes but pools before it normalises.
    'alexnet': (
        CaffeLayer('conv1', 'features.0', (96, 3, 11, 11)),
        CaffeLayer('conv2', 'features.4', (256, 48, 5, 5)),
        CaffeLayer('conv3', 'features.8', (384, 256, 3, 3)),
        CaffeLayer('conv4', 'features.10', (384, 192, 3, 3)),
        CaffeLayer('conv5', 'features.12', (256, 192, 3, 3)),
        CaffeLayer('fc6', 'classifier.1', (4096, 9216)),
        CaffeLayer('fc7', 'classifier.4', (4096, 4096)),
    ),
    # VGG_CNN_M_1024
    'vgg-m': (
        CaffeLayer('conv1', 'features.0', (96, 3, 7, 7)),
        CaffeLayer('conv2', 'features.4', (256, 96, 5, 5)),
        CaffeLayer('conv3', 'features.8', (512, 256, 3, 3)),
        CaffeLayer('conv4', 'features.10', (512, 512, 3, 3)),
        CaffeLayer('conv5', 'features.12', (512, 512, 3, 3)),
        CaffeLayer('fc6', 'classifier.0', (4096, 18432)),
        CaffeLayer('fc7', 'classifier.3', (1024, 4096)),
    ),
    # VGG_ILSVRC_16_layers
    'vgg16': (
        CaffeLayer('conv1_1', 'features.0', (64, 3, 3, 3)),
        CaffeLayer('conv1_2', 'features.2', (64, 64, 3, 3)),
        CaffeLayer('conv2_1', 'features.5', (128, 64, 3, 3)),
        CaffeLayer('conv2_2', 'features.7', (128, 128, 3, 3)),
        CaffeLayer('conv3_1', 'features.10', (256, 128, 3, 3)),
        CaffeLayer('conv3_2', 'features.12', (256, 256, 3, 3)),
        CaffeLayer('conv3_3', 'features.14', (256, 256, 3, 3)),
        CaffeLayer('conv4_1', 'features.17', (512, 256, 3, 3)),
        CaffeLayer('conv4_2', 'features.19', (512, 512, 3, 3)),
        CaffeLayer('conv4_3', 'features.21', (512, 512, 3, 3)),
        CaffeLayer('conv5_1', 'features.24', (512, 512, 3, 3)),
        CaffeLayer('conv5_2', 'features.26', (512, 512, 3, 3)),
        CaffeLayer('conv5_3', 'features.28', (512, 512, 3, 3)),
        CaffeLayer('fc6', 'classifier.0', (4096, 25088)),
        CaffeLayer('fc7', 'classifier.3', (4096, 4096)),
    ),
}
#: The last layer of a network for ImageNet, which a detector replaces.
_CLASSIFIER = 'fc8'
_MOST_BYTES = 8 << 30  # of an archive
_MOST_COMPRESSED = 4  # trained weights compress to nine tenths
_SMALL = 1 << 20  # bytes that an archive may claim beyond that
_LISTED = 10


def read_caffe_weights(path: str | Path) -> dict[str, Tensor]:
    """Read weights under Caffe's names (``conv1.weight``, ``fc6.bias``, ...), as data, never as code.

    Args:
        path: a ``.caffemodel``; or a ``.npz``, ``.pth`` or ``.pt`` whose arrays have these names.

    Raises:
        DistillationError: it cannot be read, or is of another kind.
    """
    path = Path(path).expanduser()
    weights: Mapping[str, Any]
    if path.suffix == '.caffemodel':
        weights = read_caffemodel(path)
    elif path.suffix == '.npz':
        weights = _read_npz(path)
    elif path.suffix in ('.pth', '.pt'):
        weights = read_checkpoint(path, 'file of Caffe weights')
        weights = weights.get('state_dict', weights) if isinstance(weights, dict) else {}
    else:
        raise DistillationError([f'{path} is of an unknown kind: name a .caffemodel, .npz, .pth or .pt'])
    if not weights or not all(isinstance(value, (np.ndarray, Tensor)) for value in weights.values()):
        raise DistillationError([f"{path} holds no weights: expected arrays under Caffe's names, such as conv1.weight"])
    odd = [f'{key} ({value.dtype})' for key, value in weights.items() if not _is_real(value)]
    numbers = {key: _tensor(value) for key, value in weights.items()} if not odd else {}
    odd += [f'{key} (NaN or infinite)' for key, value in numbers.items() if not torch.isfinite(value).all()]
    if odd:
        more = f' and {len(odd) - _LISTED} more' if len(odd) > _LISTED else ''
        listed = ', '.join(odd[:_LISTED]) + more
        raise DistillationError([f'{path} holds what is no weight of a network: {listed}. Copy or download it again'])
    return numbers


def convert(weights: Mapping[str, Tensor], network: str) -> dict[str, Tensor]:
    """Rename the weights of a network, and check that they are its, whole and nothing else.

    Args:
        weights: as :func:`read_caffe_weights` returns them. Caffe's oldest files have four dimensions for everything;
            leading ones are dropped.
        network: a key of :data:`KEY_MAPS`.

    Returns:
        ``features.*`` and ``classifier.*``, for ``init_cfg=dict(type='Pretrained', ...)`` of a backbone and of its box
        head. The classifier of ImageNet (``fc8``) is left out.

    Raises:
        DistillationError: lists every weight that is missing, of another shape, or not of this network.
    """
    problems, converted = [], {}
    for layer in KEY_MAPS[network]:
        for part, shape in (('weight', layer.shape), ('bias', layer.shape[:1])):
            key = f'{layer.caffe}.{part}'
            value = _without_leading_ones(weights[key], len(shape)) if key in weights else None
            if value is None:
                problems.append(f'{key} is missing')
            elif value.shape != shape:
                problems.append(f'{key} is {tuple(value.shape)}, not {shape}')
            else:
                converted[f'{layer.module}.{part}'] = value
    known = {layer.caffe for layer in KEY_MAPS[network]} | {_CLASSIFIER}
    problems += [f'{key} is not of this network' for key in weights if key.rpartition('.')[0] not in known]
    raise_if_any([f'{problem}. Name a file of {network}, or the network that this one holds' for problem in problems])
    return converted


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        require_regular(path, _MOST_BYTES)
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        raise DistillationError(
            [f"there is no file '{path}' (looked at {path.absolute()}). Correct the path"]
        ) from None
    except Exception as error:  # a damaged archive may raise anything
        raise DistillationError(
            [f'{path} cannot be opened as data: write it again with numpy.savez, of plain arrays. ({error})']
        ) from error


def _check_sizes(path: Path) -> None:
    """Look at the sizes that an archive claims before any memory is taken for them.

    numpy takes the memory of an array when it has read its shape; zipfile ends where the archive says.
    """
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
        if claimed > _MOST_COMPRESSED * size + _SMALL:
            raise ValueError(f'it claims {claimed} bytes in {size}, and weights do not compress so')
        for entry in archive.infolist():
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            if math.prod(shape) * dtype.itemsize > entry.file_size:
                raise ValueError(f'{entry.filename!r} claims the shape {shape} in {entry.file_size} bytes')


def _is_real(value: np.ndarray | Tensor) -> bool:
    if isinstance(value, Tensor):
        return value.is_floating_point()
    return value.dtype.kind == 'f' and value.dtype.itemsize <= 8


def _tensor(value: np.ndarray | Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.float()
    return torch.from_numpy(value.astype(np.float32))


def _without_leading_ones(value: Tensor, dims: int) -> Tensor:
    while value.dim() > dims and value.shape[0] == 1:
        value = value[0]
    return value
