"""Whole detectors: what is decomposed without loss predicts the same, as a student and as a teacher."""

import copy
import functools

import pytest
import torch
from helpers import tiny_student_cfg
from helpers.architectures import c4, cascade, double_head, faster, mask
from helpers.distil import build
from helpers.one_stage import retinanet
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from mmdet_kd.compression import (
    ForwardPass,
    build_detector,
    composed_weight,
    decompose_detector,
    initial_weights,
    plan_at,
    plan_for_share,
    ranks_of_config,
    read_student,
    survey,
    uniform_base,
    write_decomposed,
    write_fragment,
)
from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import read_checkpoint
from mmdet_kd.teachers import DetectorTeacher

SHAPE = (64, 64)
ARCHITECTURES = (
    *(faster, cascade, retinanet),
    *(pytest.param(architecture, marks=pytest.mark.slow) for architecture in (mask, c4, double_head)),
)


def outputs(detector):
    forward_pass = ForwardPass(detector, SHAPE)
    picture = torch.randn(forward_pass.picture().shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return [tensor for tensor in flat(forward_pass(picture)) if isinstance(tensor, torch.Tensor)]


def flat(value):
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, (list, tuple)) else [value]


@pytest.fixture(scope='module')
def plans(tiny_set, tmp_path_factory):
    """What is planned for an architecture, once for all tests; they change copies."""
    cfg = tiny_student_cfg(tiny_set, tmp_path_factory.mktemp('plans'))
    return functools.cache(lambda architecture: plan(architecture(cfg)))


@pytest.fixture
def planned(request, plans):
    return copy.deepcopy(plans(request.param))  # as a whole: the survey knows the detector's modules


def plan(cfg):
    """A config whose detector has low ranks, that detector, its survey and these ranks."""
    detector = build(cfg).eval()
    found = survey(detector, SHAPE)
    ranks = plan_for_share(found, uniform_base(found), 0.5)
    lossy = copy.deepcopy(detector)
    decompose_detector(lossy, found, ranks)
    with torch.no_grad():
        for name in ranks:
            detector.get_submodule(name).weight.copy_(composed_weight(lossy.get_submodule(name)))
    return cfg, detector, survey(detector, SHAPE), ranks


def written(found, ranks):
    return {layer.name: layer.written(ranks[layer.name]) for layer in found.layers if layer.name in ranks}


@pytest.mark.parametrize('planned', ARCHITECTURES, indirect=True)
def test_ranks_that_lose_nothing_leave_the_outputs_as_they_are(planned, tmp_path):
    """Decomposed at the ranks it has, written, and built from the files alone, the detector says the same."""
    cfg, detector, found, ranks = planned
    expected = outputs(detector)
    decomposed = copy.deepcopy(detector)
    errors = decompose_detector(decomposed, found, ranks)
    assert len(errors) > 10
    assert max(errors.values()) < 1e-5
    config, weights = write_decomposed(cfg, decomposed, written(found, ranks), {}, tmp_path / 'small')
    with torch.device('meta'):
        MODELS.build(Config.fromfile(config).model)
    rebuilt = build_detector(Config.fromfile(config), read_student(weights)[0])
    for tensor, before in zip(outputs(rebuilt), expected, strict=True):
        torch.testing.assert_close(tensor, before, rtol=0, atol=1e-4 * float(before.abs().max().clamp(min=1)))


@pytest.mark.parametrize('planned', [faster], indirect=True)
def test_the_written_files_are_an_ordinary_config_and_checkpoint(planned, tmp_path):
    cfg, detector, found, ranks = planned
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='nowhere.pth')
    meta = dict(epoch=3, dataset_meta=dict(classes=('a', 'b')), cfg='old')
    decompose_detector(detector, found, ranks)
    write_decomposed(cfg, detector, written(found, ranks), meta, tmp_path / 'a' / 'small')
    assert {path.name for path in (tmp_path / 'a').iterdir()} == {'small.py', 'small.pth'}
    (tmp_path / 'a').rename(tmp_path / 'moved')
    read = Config.fromfile(tmp_path / 'moved' / 'small.py')
    assert read.load_from == str(tmp_path / 'moved' / 'small.pth')
    assert read.custom_imports['imports'] == ['mmdet_kd']
    assert read.model.backbone.init_cfg is None
    content = read_checkpoint(read.load_from)
    assert content['meta']['dataset_meta'] == {'classes': ('a', 'b')}
    assert "type='Decomposed'" in content['meta']['cfg']
    assert 'fileDirname' not in content['meta']['cfg']
    MODELS.build(read.model).init_weights()


@pytest.mark.parametrize('planned', [faster], indirect=True)
def test_a_decomposed_detector_teaches(planned, tmp_path):
    cfg, detector, found, ranks = planned
    decompose_detector(detector, found, ranks)
    config, weights = write_decomposed(cfg, detector, written(found, ranks), {}, tmp_path / 'small')
    teacher = DetectorTeacher(str(config), weights)
    teacher.build_shape()
    teacher.load(torch.device('cpu'))
    for key, value in detector.state_dict().items():
        assert torch.equal(teacher.detector.state_dict()[key], value)


@pytest.mark.parametrize('planned', [faster, cascade], indirect=True)
def test_a_fragment_has_the_ranks_and_nothing_else(planned, tmp_path):
    cfg, detector, found, ranks = planned
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='nowhere.pth')
    cfg.dump(tmp_path / 'base.py')
    model = copy.deepcopy(cfg.model)
    model.backbone.frozen_stages = 0
    layers = written(found, ranks)
    write_fragment(tmp_path / 'sub' / 'small.py', tmp_path / 'base.py', model, detector, layers, 'it')
    text = (tmp_path / 'sub' / 'small.py').read_text()
    assert text.startswith("# Written by: it\n_base_ = '../base.py'\n")
    assert 'anchor_generator' not in text
    read = Config.fromfile(tmp_path / 'sub' / 'small.py')
    assert (read.model.backbone.frozen_stages, read.model.backbone.init_cfg) == (0, None)
    other = build_detector(cfg, detector.state_dict())
    assert ranks_of_config(other, survey(other, SHAPE), read.model) == ranks
    decompose_detector(detector, found, ranks)
    build_detector(read, detector.state_dict())


@pytest.mark.parametrize('planned', [faster], indirect=True)
def test_a_fragment_takes_the_place_of_a_fragment_alone(planned, tmp_path):
    cfg, detector, found, ranks = planned
    cfg.dump(tmp_path / 'base.py')
    before = (tmp_path / 'base.py').read_text()
    (tmp_path / 'mine.py').write_text("_base_ = 'base.py'\n")

    def write(name):
        write_fragment(
            tmp_path / name, tmp_path / 'base.py', copy.deepcopy(cfg.model), detector, written(found, ranks), 'it'
        )

    write('small.py')
    write('small.py')
    for name in ('base.py', 'mine.py'):
        with pytest.raises(DistillationError, match=f'{name} is no fragment of this tool, so it is not replaced'):
            write(name)
    assert (tmp_path / 'base.py').read_text() == before


def test_ranks_of_another_config_that_do_not_fit_are_refused(student_cfg):
    detector = build(student_cfg)
    found = survey(detector, SHAPE)
    with pytest.raises(DistillationError, match="without type='Decomposed'"):
        ranks_of_config(detector, found, student_cfg.model)
    model = copy.deepcopy(student_cfg.model)
    model.rpn_head.update(type='Decomposed', of='RPNHead', layers={'rpn_conv': (99, 1), 'other': 3})
    with pytest.raises(DistillationError, match=r"(?s)'rpn_head.rpn_conv' has input rank 99.*no 'rpn_head.other'"):
        ranks_of_config(detector, found, model)
    model.rpn_head['layers'] = {'rpn_cls': (4, 1)}
    with pytest.raises(DistillationError, match=r'cannot be decomposed here: rpn_head.rpn_cls \(by name\)'):
        ranks_of_config(detector, found, model)


def test_other_weights_are_refused(student_cfg, teacher_cfg, tmp_path):
    weights = build(teacher_cfg).state_dict()
    with pytest.raises(DistillationError, match=r'(?s)are not those of the config.*backbone.conv1.weight'):
        build_detector(student_cfg, weights)
    torch.save({'optimizer': 1}, tmp_path / 'none.pth')
    with pytest.raises(DistillationError, match=r"holds no weights: .*'state_dict'"):
        read_student(tmp_path / 'none.pth')


def test_without_a_checkpoint_the_weights_are_those_that_a_training_begins_with(student_cfg, tmp_path):
    conv1 = torch.full((8, 3, 7, 7), 0.5)
    torch.save({'conv1.weight': conv1}, tmp_path / 'pretrained.pth')
    student_cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'pretrained.pth'))
    assert torch.equal(initial_weights(student_cfg)['backbone.conv1.weight'], conv1)
    assert not torch.equal(initial_weights(student_cfg, pretrained=False)['backbone.conv1.weight'], conv1)


def test_a_layer_that_gains_nothing_is_kept(student_cfg):
    detector = build(student_cfg)
    found = survey(detector, SHAPE)
    ranks = plan_at(found, uniform_base(found), 0.9)
    assert 'backbone.layer1.0.conv1' not in ranks or ranks['backbone.layer1.0.conv1'] != (8, 8)
    errors = decompose_detector(detector, found, ranks)
    assert errors.keys() == ranks.keys()
    kept = [layer.name for layer in found.layers if layer.name not in ranks]
    assert kept
    assert all(type(detector.get_submodule(name)) in (nn.Conv2d, nn.Linear) for name in kept)
