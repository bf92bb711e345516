"""A teacher that costs less says the same."""

import copy

import pytest
import torch
from helpers.architectures import cascade
from helpers.distil import AS_ALONE, build, distilled_cfg, losses_of, raw_batch, soft_part, total
from mmdet.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_kd.errors import DistillationError
from mmdet_kd.teachers import DetectorTeacher
from mmdet_kd.teachers.speed import fold_batch_norm

ROIS = torch.tensor([[0, 3.0, 5, 40, 30], [1, 10.0, 12, 60, 64], [0, 20.0, 2, 30, 62]])


@pytest.fixture(params=['faster', 'cascade'])
def trained(request, teacher_cfg, tmp_path):
    """A teacher's config and weights, its batch norm as a training would leave it."""
    cfg = cascade(teacher_cfg) if request.param == 'cascade' else teacher_cfg
    torch.manual_seed(0)
    detector = MODELS.build(copy.deepcopy(cfg.model))
    for module in detector.modules():
        if isinstance(module, _BatchNorm):
            for tensor in (module.running_mean, module.weight.data, module.bias.data):
                tensor.add_(0.2 * torch.randn_like(tensor))
            module.running_var.mul_(0.5 + torch.rand_like(module.running_var))
    torch.save({'state_dict': detector.state_dict()}, tmp_path / 'trained.pth')
    return cfg, tmp_path / 'trained.pth'


def answers(trained, **speed):
    """All that a teacher can be asked."""
    teacher = DetectorTeacher(*trained, **speed)
    teacher.load(torch.device('cpu'))
    knowledge = teacher.knowledge_of(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
    maps = [*knowledge.features('backbone'), *knowledge.features('neck')]
    rpn = [tensor for tensors in knowledge.rpn for tensor in tensors]
    return teacher, maps + rpn + list(knowledge.roi(0, ROIS))


def assert_close(first, second, share):
    for a, b in zip(first, second, strict=True):
        assert (a.float() - b).abs().max() <= share * b.abs().max()


@pytest.mark.parametrize('speed', [{'channels_last': False}, {'fold_batch_norm': False}, {}], ids=str)
def test_what_is_on_by_default_changes_nothing_beyond_rounding(trained, speed):
    _, expected = answers(trained, **AS_ALONE)
    teacher, found = answers(trained, **speed)
    assert_close(found, expected, 1e-5)
    norms = [module for module in teacher.detector.modules() if isinstance(module, _BatchNorm)]
    assert bool(norms) == (speed.get('fold_batch_norm') is False)
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    conv = teacher.detector.backbone.layer1[0].conv1
    assert conv.weight.is_contiguous(memory_format=torch.channels_last) == speed.get('channels_last', True)


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_a_lower_precision_stays_near(trained, precision):
    _, expected = answers(trained, **AS_ALONE)
    teacher, found = answers(trained, precision=precision)
    assert_close(found, expected, 0.05)
    assert {p.dtype for p in teacher.detector.parameters()} == {getattr(torch, precision)}


def test_the_losses_are_of_single_precision_whatever_the_teacher_is(student_cfg, teacher_cfg, teacher_checkpoint):
    cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)
    plain = soft_part(losses_of(build(cfg), raw_batch()))
    cfg.model.teacher.precision = 'bfloat16'
    detector = build(cfg)
    losses = losses_of(detector, raw_batch())
    for name, loss in soft_part(losses).items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(plain[name].item(), rel=0.05, abs=1e-3)
    total(losses).backward()


class NormFirst(nn.Module):
    """Registered as if the convolution came first."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, stride=4)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        return (self.conv(self.norm(images)),)


class Detector(nn.Module):
    """A detector of parts that are given."""

    def __init__(self, **parts):
        super().__init__()
        self.with_neck = 'neck' in parts
        for name, part in parts.items():
            setattr(self, name, part)


def has_batch_norm(part):
    return any(isinstance(module, _BatchNorm) for module in part.modules())


@pytest.mark.parametrize('channels', [3, 8])
def test_another_order_than_that_of_the_registration_is_found_out(channels):
    detector = Detector(backbone=NormFirst(channels)).eval()
    nn.init.constant_(detector.backbone.norm.running_var, 4.0)
    kept = detector.backbone
    fold_batch_norm(detector)
    assert detector.backbone is kept


class Uncallable(nn.Module):
    """A head that is called otherwise than the usual ones, as a DETR's is."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, maps, metas):
        raise AssertionError(metas)


def test_a_head_that_cannot_be_tried_leaves_the_rest_to_be_folded(trained):
    backbone = MODELS.build(copy.deepcopy(trained[0].model.backbone))
    detector = Detector(backbone=backbone, bbox_head=Uncallable()).eval()
    fold_batch_norm(detector)
    assert not has_batch_norm(detector.backbone)
    assert has_batch_norm(detector.bbox_head)


@pytest.mark.parametrize('name', ['bf16', 'float32', 16])
def test_an_unknown_precision_is_refused(teacher_cfg, name):
    with pytest.raises(DistillationError, match=f'teacher.precision is {name!r}; it must be one of bfloat16, float16'):
        DetectorTeacher(teacher_cfg, None, precision=name)


@pytest.mark.slow
def test_a_compiled_teacher_says_the_same(trained):
    _, expected = answers(trained, **AS_ALONE)
    _, found = answers(trained, compile=True)
    assert_close(found, expected, 1e-4)
