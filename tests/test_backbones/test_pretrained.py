"""Pretrained weights arrive whole, in the convolutions and in fc6 and fc7, or the training does not start."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.model import PretrainedInit

from mmdet_kd.errors import DistillationError

# torchvision's AlexNet, with fc6 and fc7 of 5 and 4 outputs
SHAPES = {
    'features.0': (64, 3, 11, 11),
    'features.3': (192, 64, 5, 5),
    'features.6': (384, 192, 3, 3),
    'features.8': (256, 384, 3, 3),
    'features.10': (256, 256, 3, 3),
    'classifier.1': (5, 256 * 36),
    'classifier.4': (4, 5),
    'classifier.6': (1000, 4),
}
BACKBONE = dict(type='AlexNet', groups=1)
HEAD = dict(type='AlexNetBBoxHead', fc_channels=(5, 4), num_classes=3)


@pytest.fixture(scope='module')
def weights():
    generator = torch.Generator().manual_seed(0)
    return {
        f'{module}.{part}': torch.randn(size, generator=generator)
        for module, shape in SHAPES.items()
        for part, size in (('weight', shape), ('bias', shape[:1]))
    }


def load(cfg, path, **init_cfg):
    module = MODELS.build(dict(cfg, init_cfg=dict(type='Pretrained', checkpoint=str(path), **init_cfg)))
    module.init_weights()
    return module


def save(folder, weights):
    torch.save(weights, folder / 'alexnet.pth')
    return folder / 'alexnet.pth'


def test_both_parts_take_theirs_from_one_file(weights, tmp_path):
    path = save(tmp_path, weights)
    backbone, head = load(BACKBONE, path), load(HEAD, path)
    assert len(backbone.state_dict()) == 10
    assert all(torch.equal(value, weights[key]) for key, value in backbone.state_dict().items())
    taken = {key: value for key, value in head.state_dict().items() if key.startswith('classifier')}
    assert list(taken) == ['classifier.1.weight', 'classifier.1.bias', 'classifier.4.weight', 'classifier.4.bias']
    assert all(torch.equal(value, weights[key]) for key, value in taken.items())


@pytest.mark.parametrize('kind', ['Pretrained', PretrainedInit])
@pytest.mark.parametrize('several', [False, True])
@pytest.mark.parametrize('part', ['weight', 'bias'])
def test_a_missing_convolution_is_named(weights, tmp_path, part, several, kind):
    path = save(tmp_path, {key: value for key, value in weights.items() if key != f'features.8.{part}'})
    init_cfg = dict(type=kind, checkpoint=str(path))
    backbone = MODELS.build(dict(BACKBONE, init_cfg=[dict(type='Kaiming', layer='Conv2d'), init_cfg]))
    backbone.init_cfg = backbone.init_cfg if several else init_cfg
    message = rf'alexnet\.pth does not hold the weights of this AlexNet: features\.8\.{part} is missing\. Name'
    with pytest.raises(DistillationError, match=message):
        backbone.init_weights()


def test_all_that_is_wrong_is_said_at_once(weights, tmp_path):
    """A file with another fc6, whose fc7 has another name."""
    renamed = {key.replace('classifier.4', 'fc7'): value for key, value in weights.items()}
    renamed['classifier.1.weight'] = torch.zeros(5, 99)
    with pytest.raises(DistillationError) as raised:
        load(HEAD, save(tmp_path, renamed))
    message = str(raised.value)
    assert 'AlexNetBBoxHead: classifier.1.weight is (5, 99) there, (5, 9216) here; ' in message
    assert 'classifier.4.weight is missing; classifier.4.bias is missing. Name' in message
    assert 'tools/model_converters/caffe_to_mmdet_kd.py' in message


def test_another_networks_file_is_refused(weights, tmp_path):
    with pytest.raises(
        DistillationError, match=r'features\.0\.weight is \(64, 3, 11, 11\) there, \(64, 3, 3, 3\) here'
    ):
        load(dict(type='VGG16'), save(tmp_path, weights))


def test_weights_inside_a_larger_model(weights, tmp_path):
    path = save(tmp_path, {'state_dict': {f'backbone.{key}': value for key, value in weights.items()}})
    backbone = load(BACKBONE, path, prefix='backbone.')
    assert all(torch.equal(value, weights[key]) for key, value in backbone.state_dict().items())
    with pytest.raises(DistillationError, match=r'features\.0\.weight is missing'):
        load(BACKBONE, path)


def test_a_missing_file_and_who_makes_it(tmp_path):
    message = r"no file of pretrained weights \(tools/model_converters/caffe_to_mmdet_kd\.py .*/none\.pth'"
    with pytest.raises(DistillationError, match=message):
        load(BACKBONE, tmp_path / 'none.pth')


def test_what_is_loaded_later_is_not_checked(weights, tmp_path):
    """A resumed run, and load_from, have rules of their own."""
    backbone = load(BACKBONE, save(tmp_path, weights))
    assert len(backbone.load_state_dict({}, strict=False).missing_keys) == 10
