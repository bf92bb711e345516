"""Shapes without weights: the same as a real forward pass finds, and nothing else is touched."""

import copy
import random

import numpy as np
import pytest
import torch
from helpers.architectures import c4, cascade, faster, mask
from helpers.distil import build
from helpers.zoo import CONFIGS
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from mmdet_kd.knowledge import MapShape, map_shapes, on_meta


def dcn(cfg):
    """Deformable convolutions, which have no kernel for the meta device."""
    cfg = copy.deepcopy(cfg)
    cfg.model.backbone.update(depth=50, dcn=dict(type='DCNv2', deform_groups=1))
    cfg.model.backbone.stage_with_dcn = (False, True, True, True)
    cfg.model.neck.in_channels = [c * 4 for c in cfg.model.neck.in_channels]
    return cfg


def swin(cfg):
    """A backbone that reads numbers out of tensors while it is built."""
    cfg = copy.deepcopy(cfg)
    cfg.model.backbone = dict(type='SwinTransformer', embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2))
    return cfg


def real_shapes(detector):
    """By a real forward pass on the CPU."""
    detector = detector.eval()
    with torch.no_grad():
        maps = {'backbone': detector.backbone(torch.zeros(1, 3, 256, 256))}
        if detector.with_neck:
            maps['neck'] = detector.neck(maps['backbone'])
    return {name: tuple(MapShape(m.shape[1], 256 // m.shape[2]) for m in found) for name, found in maps.items()}


@pytest.mark.parametrize('architecture', [faster, mask, cascade, c4, dcn, swin])
def test_shapes_are_those_of_a_real_forward(architecture, student_cfg):
    cfg = architecture(student_cfg)
    expected = real_shapes(build(cfg, init=False))
    assert map_shapes(build(cfg, init=False)) == expected
    shape_only = on_meta(lambda: MODELS.build(copy.deepcopy(cfg.model)))
    assert map_shapes(shape_only) == expected


def test_an_ssd_is_measured_on_the_pictures_that_its_anchors_are_made_for():
    """Across 512 pixels its last map would have 4 cells, as that of a stride of 128."""
    model = Config.fromfile(CONFIGS / 'ssd/ssd300_coco.py').model
    maps = map_shapes(on_meta(lambda: MODELS.build(model)))['neck']
    assert [each.stride for each in maps] == [8, 16, 30, 60, 100, 300]


def test_a_plain_detector_is_built_without_memory(student_cfg):
    detector = on_meta(lambda: MODELS.build(copy.deepcopy(student_cfg.model)))
    assert {p.device.type for p in detector.parameters()} == {'meta'}


def test_channels_and_strides(student_cfg):
    shapes = map_shapes(build(student_cfg, init=False))
    assert shapes == {
        'backbone': ((8, 4), (16, 8), (32, 16), (64, 32)),
        'neck': ((16, 4), (16, 8), (16, 16), (16, 32), (16, 64)),
    }
    assert set(map_shapes(build(c4(student_cfg), init=False))) == {'backbone'}


def test_the_detector_is_left_alone(student_cfg):
    """No weight moves, no BatchNorm counts, and training stays training."""
    detector = build(student_cfg)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    modes = [module.training for module in detector.modules()]
    map_shapes(detector)
    assert [module.training for module in detector.modules()] == modes
    for name, value in detector.state_dict().items():
        assert value.device.type == 'cpu'
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize('architecture', [faster, swin])
def test_random_states_are_as_they_were(architecture, student_cfg):
    """A student draws the same numbers whether or not its teacher was looked at."""
    cfg = architecture(student_cfg)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    map_shapes(on_meta(lambda: MODELS.build(copy.deepcopy(cfg.model))))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]


def test_the_default_device_is_as_it_was():
    on_meta(lambda: nn.Linear(1, 1))
    assert torch.zeros(1).device.type == 'cpu'


@pytest.mark.parametrize('error', [NotImplementedError, RuntimeError])
def test_what_fails_on_meta_is_tried_on_the_cpu(error):
    devices = []

    def build_it():
        devices.append(torch.zeros(1).device.type)
        if devices[-1] == 'meta':
            raise error
        return 'built'

    assert on_meta(build_it) == 'built'
    assert devices == ['meta', 'cpu']


def test_what_fails_everywhere_is_raised():
    def build_it():
        raise RuntimeError('broken')

    with pytest.raises(RuntimeError, match='broken'):
        on_meta(build_it)


def test_a_wrong_config_is_not_tried_twice():
    tries = []

    def build_it():
        tries.append(1)
        raise KeyError('no such type')

    with pytest.raises(KeyError):
        on_meta(build_it)
    assert len(tries) == 1
