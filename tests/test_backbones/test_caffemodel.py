"""Reading .caffemodel files, which an encoder of its own writes here."""

import struct

import numpy as np
import pytest
from helpers import hostile

from mmdet_kd.backbones.caffe import read_caffe_weights
from mmdet_kd.backbones.caffemodel import read_caffemodel
from mmdet_kd.errors import DistillationError

WEIGHT = np.arange(2 * 3 * 200, dtype=np.float32).reshape(2, 3, 200) - 0.5
BIAS = np.array([1.5, -2.5], dtype=np.float32)


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field * 8) + varint(value)


def text(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field * 8 + 2) + varint(len(content)) + content


def blob(array, shape=None, double=False):
    """With a `shape`; or with num, channels, height and width where that is four numbers as a tuple."""
    data = text(8, struct.pack(f'<{array.size}d', *array.ravel())) if double else text(5, array.tobytes())
    if isinstance(shape, tuple):
        return b''.join(number(field, size) for field, size in enumerate(shape, 1)) + data
    return text(7, text(1, b''.join(map(varint, array.shape)))) + data + text(6, b'\0' * 8)  # and a gradient


def new_layer(name, *blobs):
    return text(100, text(1, name) + text(2, 'Convolution') + b''.join(text(7, each) for each in blobs))


def v1_layer(name, *blobs):
    return text(2, text(2, 'bottom') + text(4, name) + number(5, 4) + b''.join(text(6, each) for each in blobs))


def v0_layer(name, *blobs):
    floats = varint(17 * 8 + 5) + struct.pack('<f', 0.25)  # the scale of a data layer
    return text(2, text(1, text(1, name) + floats + b''.join(text(50, each) for each in blobs)) + text(3, 'top'))


def net(*layers):
    return text(1, 'AlexNet') + text(3, 'data') + number(4, 227) + b''.join(layers)


def read(folder, content):
    (folder / 'net.caffemodel').write_bytes(content)
    return read_caffemodel(folder / 'net.caffemodel')


def assert_holds(weights, key, array):
    assert weights[key].shape == array.shape
    assert np.array_equal(weights[key], array)


@pytest.mark.parametrize('layer', [new_layer, v1_layer, v0_layer])
@pytest.mark.parametrize('double', [False, True])
def test_every_generation_of_the_format(layer, double, tmp_path):
    content = net(layer('data'), layer('conv1', blob(WEIGHT, double=double), blob(BIAS)), layer('fc6', blob(BIAS)))
    weights = read(tmp_path, content)
    assert list(weights) == ['conv1.weight', 'conv1.bias', 'fc6.weight']
    assert weights['conv1.weight'].dtype == (np.float64 if double else np.float32)
    assert_holds(weights, 'conv1.weight', WEIGHT)
    assert_holds(weights, 'conv1.bias', BIAS)
    assert_holds(weights, 'fc6.weight', BIAS)


def test_shapes_of_four_numbers(tmp_path):
    weights = read(tmp_path, net(v1_layer('fc6', blob(WEIGHT, (1, 1, 6, 200)), blob(BIAS, (1, 1, 1, 2)))))
    assert_holds(weights, 'fc6.weight', WEIGHT.reshape(1, 1, 6, 200))
    assert_holds(weights, 'fc6.bias', BIAS.reshape(1, 1, 1, 2))


def test_values_one_by_one(tmp_path):
    """As a writer that does not know of packed fields leaves them."""
    values = b''.join(varint(5 * 8 + 5) + struct.pack('<f', value) for value in BIAS)
    weights = read(
        tmp_path, net(new_layer('bn', text(7, number(1, 1) + number(1, 2)) + values, blob(BIAS), blob(BIAS)))
    )
    assert list(weights) == ['bn.weight', 'bn.bias', 'bn.blob2']
    assert_holds(weights, 'bn.weight', BIAS.reshape(1, 2))


@pytest.mark.parametrize('lost', [1, 10, 2000, 4800])
def test_a_truncated_file(lost, tmp_path):
    content = net(new_layer('conv1', blob(WEIGHT), blob(BIAS)))
    assert len(content) > 4850
    with pytest.raises(DistillationError, match=r'net\.caffemodel \(\d+ bytes\) is truncated or no \.caffemodel: copy'):
        read(tmp_path, content[:-lost])


@pytest.mark.parametrize(
    'content', [b'<html>not found</html>', bytes(range(256)), b'\xff' * 50, number(100, 5), number(2, 5)]
)
def test_something_else(content, tmp_path):
    with pytest.raises(DistillationError, match=r'is truncated or no \.caffemodel'):
        read(tmp_path, content)


def test_a_shape_that_lies(tmp_path):
    with pytest.raises(DistillationError, match=r'a blob of 2 values says that its shape is \[2, 2, 1, 1\]'):
        read(tmp_path, net(v1_layer('fc6', blob(BIAS, (2, 2, 1, 1)))))


def test_a_net_without_weights(tmp_path):
    with pytest.raises(DistillationError, match=r'holds no weights: name a trained \.caffemodel'):
        read(tmp_path, net(new_layer('relu1')))


def test_no_file(tmp_path):
    with pytest.raises(DistillationError, match=r"there is no Caffe model '.*/none\.caffemodel'"):
        read_caffemodel(tmp_path / 'none.caffemodel')


HOSTILE = {
    **{name: (write, 'there is no') for name, write in hostile.no_files().items()},
    'empty': (b'', 'truncated or no'),
    'page': (b'<html>\x1b[31m404</html>', 'truncated or no'),
    'endless number': (b'\xff' * 10**6, 'more than 64 bits'),
    'endless length': (varint(100 * 8 + 2) + b'\xff' * 10**6, 'more than 64 bits'),
    'forged length': (varint(100 * 8 + 2) + varint(2**62) + b'a' * 50, 'behind the end'),
    'forged shape': (
        net(new_layer('a', text(7, text(1, varint(2**62) * 4)) + text(5, BIAS.tobytes()))),
        'its shape is',
    ),
    'many dimensions': (net(new_layer('a', text(7, text(1, b'\1' * 10**6)) + text(5, BIAS.tobytes()))), 'dimensions'),
    'no dimensions': (net(new_layer('a', text(7, text(1, b'')) + text(5, BIAS.tobytes()))), 'its shape is'),
    'shape of bytes': (net(v1_layer('a', text(1, b'12') + text(5, BIAS.tobytes()))), 'its shape is'),
    'half a number': (net(new_layer('a', text(5, b'123'))), 'truncated or no'),
    'no name': (text(100, text(7, blob(BIAS))), 'truncated or no'),
    'a name of bytes': (net(new_layer(b'\xff', blob(BIAS))), 'truncated or no'),
    'NaN': (net(new_layer('a', blob(BIAS * np.float32('nan')))), 'NaN or infinite'),
    'infinite': (net(new_layer('\x1b[2J', blob(BIAS * np.float32('inf')))), 'NaN or infinite'),
    'zeros': (lambda path: hostile.zeros(path, 2 << 30), 'truncated or no'),
}


@pytest.mark.parametrize('kind', HOSTILE)
def test_a_hostile_file_is_refused(kind, tmp_path):
    path, (content, said) = tmp_path / 'net.caffemodel', HOSTILE[kind]
    content(path) if callable(content) else path.write_bytes(content)
    with hostile.bounded(), pytest.raises(DistillationError, match=said) as caught:
        read_caffe_weights(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 1000


@pytest.mark.slow
def test_more_fields_than_a_network_has(tmp_path):
    path = tmp_path / 'net.caffemodel'
    path.write_bytes(number(4, 1) * 50_000_000)
    with hostile.bounded(), pytest.raises(DistillationError, match='more than 2000000 fields'):
        read_caffe_weights(path)
