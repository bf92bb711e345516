"""A file of Caffe weights becomes one that a backbone and its box head load."""

import numpy as np
import pytest
import torch
from helpers.tiny import call_tool
from mmdet.registry import MODELS

from mmdet_kd.backbones.caffe import KEY_MAPS, CaffeLayer

TOOL = 'tools/model_converters/caffe_to_mmdet_kd.py'


@pytest.fixture
def narrow(monkeypatch):
    """AlexNet with 3 and 2 outputs of fc6 and fc7, and weights for it."""
    layers = KEY_MAPS['alexnet'][:-2]
    layers += (CaffeLayer('fc6', 'classifier.1', (3, 9216)), CaffeLayer('fc7', 'classifier.4', (2, 3)))
    monkeypatch.setitem(KEY_MAPS, 'alexnet', layers)
    rng = np.random.default_rng(0)
    shapes = {f'{layer.caffe}.weight': layer.shape for layer in layers}
    shapes |= {f'{layer.caffe}.bias': layer.shape[:1] for layer in layers}
    return {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


def test_what_is_written_is_what_the_network_loads(narrow, tmp_path, capsys):
    np.savez(tmp_path / 'caffe.npz', **narrow, **{'fc8.weight': np.zeros((1000, 2)), 'fc8.bias': np.zeros(1000)})
    out = tmp_path / 'pretrained' / 'alexnet.pth'
    call_tool(TOOL, 'alexnet', tmp_path / 'caffe.npz', out)
    assert f'Wrote 14 tensors of alexnet to {out}.' in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ['alexnet.pth']
    init_cfg = dict(type='Pretrained', checkpoint=str(out))
    backbone = MODELS.build(dict(type='AlexNet', init_cfg=init_cfg))
    head = MODELS.build(dict(type='AlexNetBBoxHead', fc_channels=(3, 2), init_cfg=init_cfg))
    backbone.init_weights()
    head.init_weights()
    for module, name in (
        (backbone.features[0], 'conv1'),
        (backbone.features[12], 'conv5'),
        (head.classifier[1], 'fc6'),
        (head.classifier[4], 'fc7'),
    ):
        assert torch.equal(module.weight, torch.from_numpy(narrow[f'{name}.weight'])), name
        assert torch.equal(module.bias, torch.from_numpy(narrow[f'{name}.bias'])), name


def test_what_is_there_is_not_replaced(narrow, tmp_path):
    np.savez(tmp_path / 'caffe.npz', **narrow)
    (tmp_path / 'trained.pth').write_text('mine')
    with pytest.raises(SystemExit, match=r'trained\.pth is there already and is not replaced: name another place'):
        call_tool(TOOL, 'alexnet', tmp_path / 'caffe.npz', tmp_path / 'trained.pth')
    assert (tmp_path / 'trained.pth').read_text() == 'mine'


def test_what_does_not_fit_is_one_error_and_leaves_nothing(narrow, tmp_path):
    del narrow['conv2.weight'], narrow['fc7.bias']
    np.savez(tmp_path / 'caffe.npz', **narrow)
    with pytest.raises(SystemExit, match=r'2 problems:\n +1\. conv2\.weight is missing.*\n +2\. fc7\.bias is missing'):
        call_tool(TOOL, 'alexnet', tmp_path / 'caffe.npz', tmp_path / 'out.pth')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['caffe.npz']


def test_a_missing_model_is_one_error(tmp_path):
    with pytest.raises(SystemExit, match=r"^\nerror: there is no Caffe model '.*none\.caffemodel'"):
        call_tool(TOOL, 'vgg16', tmp_path / 'none.caffemodel', tmp_path / 'out.pth')
