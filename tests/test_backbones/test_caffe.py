"""The key maps, and what does not fit them."""

import io
import os
import re
import zipfile

import numpy as np
import pytest
import torch
from helpers import hostile
from mmdet.registry import MODELS

from mmdet_kd.backbones import caffe
from mmdet_kd.backbones.caffe import KEY_MAPS, CaffeLayer, convert, read_caffe_weights
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import on_meta

PARTS = {
    'alexnet': (dict(type='AlexNet'), dict(type='AlexNetBBoxHead')),
    'vgg-m': (dict(type='VGGM'), dict(type='VGGBBoxHead', roi_feat_size=6, fc_channels=(4096, 1024))),
    'vgg16': (dict(type='VGG16'), dict(type='VGGBBoxHead')),
}


@pytest.fixture
def tiny(monkeypatch):
    """A network of two layers, and its weights."""
    monkeypatch.setitem(
        KEY_MAPS, 'tiny', (CaffeLayer('conv1', 'features.0', (2, 1, 3, 3)), CaffeLayer('fc6', 'fc.1', (4, 5)))
    )
    generator = torch.Generator().manual_seed(0)
    shapes = {'conv1.weight': (2, 1, 3, 3), 'conv1.bias': (2,), 'fc6.weight': (4, 5), 'fc6.bias': (4,)}
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


@pytest.mark.parametrize('network', PARTS)
def test_a_key_map_fills_the_backbone_and_the_two_layers_of_the_head(network):
    backbone, head = (on_meta(lambda cfg=cfg: MODELS.build(cfg)) for cfg in PARTS[network])
    wanted = {**backbone.state_dict(), **{f'classifier.{k}': v for k, v in head.classifier.state_dict().items()}}
    given = {f'{layer.module}.weight': layer.shape for layer in KEY_MAPS[network]}
    given |= {f'{layer.module}.bias': layer.shape[:1] for layer in KEY_MAPS[network]}
    assert given == {key: tuple(value.shape) for key, value in wanted.items()}
    names = [layer.caffe for layer in KEY_MAPS[network]]
    assert names == sorted(names)  # conv1_1, ..., conv5_3, fc6, fc7: the order of the network
    assert names[-2:] == ['fc6', 'fc7']


def test_the_weights_are_renamed_and_fc8_left_out(tiny):
    converted = convert({**tiny, 'fc8.weight': torch.zeros(3, 4), 'fc8.bias': torch.zeros(3)}, 'tiny')
    assert list(converted) == ['features.0.weight', 'features.0.bias', 'fc.1.weight', 'fc.1.bias']
    assert torch.equal(converted['features.0.weight'], tiny['conv1.weight'])
    assert torch.equal(converted['fc.1.bias'], tiny['fc6.bias'])


def test_four_dimensions_of_the_oldest_files(tiny):
    old = dict(tiny, **{key: tiny[key].reshape((1,) * (4 - tiny[key].dim()) + tiny[key].shape) for key in tiny})
    assert old['fc6.weight'].shape == (1, 1, 4, 5)
    for key, value in convert(old, 'tiny').items():
        assert torch.equal(value, convert(tiny, 'tiny')[key])


def test_all_that_is_wrong_is_said_at_once(tiny):
    del tiny['conv1.bias']
    tiny['fc6.weight'] = torch.zeros(5, 4)
    tiny['conv9.weight'] = torch.zeros(1)
    with pytest.raises(DistillationError) as raised:
        convert(tiny, 'tiny')
    assert [problem.split('. ')[0] for problem in raised.value.problems] == [
        'conv1.bias is missing',
        'fc6.weight is (5, 4), not (4, 5)',
        'conv9.weight is not of this network',
    ]
    assert 'Name a file of tiny, or the network that this one holds' in str(raised.value)


def assert_same(read, weights):
    assert read.keys() == weights.keys()
    for key, value in weights.items():
        assert read[key].dtype == torch.float32
        assert torch.equal(read[key], value)


def test_npz(tiny, tmp_path):
    np.savez(tmp_path / 'w.npz', **{key: value.double().numpy() for key, value in tiny.items()})
    assert_same(read_caffe_weights(tmp_path / 'w.npz'), tiny)


@pytest.mark.parametrize('wrap', [dict, lambda weights: {'state_dict': weights}], ids=['bare', 'state_dict'])
@pytest.mark.parametrize('suffix', ['.pth', '.pt'])
def test_pth(tiny, tmp_path, wrap, suffix):
    torch.save(wrap(tiny), tmp_path / f'w{suffix}')
    assert_same(read_caffe_weights(tmp_path / f'w{suffix}'), tiny)


def test_caffemodel(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(caffe, 'read_caffemodel', lambda path: {key: value.numpy() for key, value in tiny.items()})
    assert_same(read_caffe_weights(tmp_path / 'w.caffemodel'), tiny)


class Runs:
    def __reduce__(self):
        return os.mkdir, ('ran',)


def test_code_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'conv1.weight': Runs()}, 'w.pth')
    np.savez('w.npz', **{'conv1.weight': np.array([Runs()], dtype=object)}, allow_pickle=True)
    with pytest.raises(DistillationError, match='could run code'):
        read_caffe_weights('w.pth')
    with pytest.raises(DistillationError, match=r'w\.npz cannot be opened as data: write it again with numpy\.savez'):
        read_caffe_weights('w.npz')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('name', ['none.npz', 'none.pth', 'none.caffemodel'])
def test_no_file(tmp_path, name):
    with pytest.raises(DistillationError, match=rf'there is no .*{re.escape(name)}. \(looked at'):
        read_caffe_weights(tmp_path / name)


def test_another_kind_of_file(tmp_path):
    with pytest.raises(DistillationError, match=r'net\.onnx is of an unknown kind: name a \.caffemodel'):
        read_caffe_weights(tmp_path / 'net.onnx')


@pytest.mark.parametrize('content', [{}, {'epoch': 3}, [torch.zeros(1)], torch.zeros(1)])
def test_a_file_without_weights(content, tmp_path):
    torch.save(content, tmp_path / 'w.pth')
    with pytest.raises(DistillationError, match='holds no weights: expected arrays under'):
        read_caffe_weights(tmp_path / 'w.pth')


def archive(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, 'w', compression) as file:
        for name, content in members.items():
            file.writestr(f'{name}.npy', content)


def npy(array):
    """An array in numpy's format."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def forged(path):
    """An array of six numbers that claims 10^11."""
    content = npy(np.ones((2, 3), np.float32))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000,), }"
    length = int.from_bytes(content[8:10], 'little')
    archive(path, w=content[:10] + header.ljust(length - 1) + b'\n' + content[10 + length :])


NPZ = {
    **hostile.no_files(),
    'empty': lambda path: path.touch(),
    'page': lambda path: path.write_text('<html>\x1b[31m404</html>'),
    'cut off': lambda path: (archive(path, w=npy(np.ones(1000))), path.write_bytes(path.read_bytes()[:2000])),
    'no array': lambda path: archive(path, w=b'nonsense'),
    'bomb': lambda path: archive(path, zipfile.ZIP_DEFLATED, w=npy(np.zeros(10**7, np.float32))),
    'forged': forged,
    'objects': lambda path: np.savez(path, w=np.array([hostile.Calls(os.mkdir, 'ran')], object), allow_pickle=True),
    'text': lambda path: np.savez(path, w=np.array(['a'])),
    'records': lambda path: np.savez(path, w=np.zeros(2, [('a', 'f4')])),
    'bytes': lambda path: np.savez(path, w=np.zeros(2, np.uint8)),
    'truth': lambda path: np.savez(path, w=np.zeros(2, bool)),
    'complex': lambda path: np.savez(path, w=np.zeros(2, complex)),
    'NaN': lambda path: np.savez(path, w=np.array([1, np.nan])),
    'infinite': lambda path: np.savez(path, w=np.array([1, -np.inf], np.float16)),
    'nothing': lambda path: np.savez(path),
    'name': lambda path: np.savez(path, **{'\x1b[2J': np.zeros(1, int)}),
}


@pytest.mark.parametrize('kind', NPZ)
def test_a_hostile_npz_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'w.npz'
    NPZ[kind](path)
    with hostile.bounded(), pytest.raises(DistillationError) as caught:
        read_caffe_weights(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 1000
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
@pytest.mark.parametrize('dtype', ['<f2', '>f4', '<f8'])
def test_every_way_to_write_an_npz(save, dtype, tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 40)).astype(dtype)
    save(tmp_path / 'w.npz', w=values)
    assert np.array_equal(read_caffe_weights(tmp_path / 'w.npz')['w'].numpy(), values.astype(np.float32))


@pytest.mark.parametrize('content', [{'w': torch.zeros(2, dtype=torch.uint8)}, {'w': torch.tensor([float('inf')])}])
def test_a_pth_of_no_weights(content, tmp_path):
    torch.save(content, tmp_path / 'w.pth')
    with pytest.raises(DistillationError, match=r'w\.pth holds what is no weight of a network: w \('):
        read_caffe_weights(tmp_path / 'w.pth')
