"""A teacher that costs less says the same, and says what was done to it."""

import copy

import pytest
import torch
from helpers.architectures import cascade
from helpers.distil import AS_ALONE, build, distilled_cfg, losses_of, raw_batch, soft_part, total
from helpers.one_stage import atss, gfl, retinanet
from helpers.teachers import answers, assert_close, loaded, said, trained
from helpers.trained import pictures
from mmdet.registry import MODELS
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_kd.errors import DistillationError
from mmdet_kd.teachers import DetectorTeacher
from mmdet_kd.teachers.verification import ROUNDING

pytestmark = pytest.mark.usefixtures('verified_on_the_whole_picture')


@pytest.fixture(params=['faster', 'cascade'])
def two_stage(request, teacher_cfg, tmp_path):
    return trained(cascade(teacher_cfg) if request.param == 'cascade' else teacher_cfg, tmp_path / 'trained.pth')


@pytest.mark.parametrize('speed', [{'channels_last': False}, {'fold_batch_norm': False}, {}], ids=str)
def test_what_is_on_by_default_changes_nothing_beyond_rounding(two_stage, speed, log):
    expected = answers(loaded(two_stage, **AS_ALONE))
    teacher = loaded(two_stage, **speed)
    assert_close(answers(teacher), expected, 1e-4)
    norms = [module for module in teacher.detector.modules() if isinstance(module, _BatchNorm)]
    assert bool(norms) == (speed.get('fold_batch_norm') is False)
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    conv = teacher.detector.backbone.layer1[0].conv1
    assert conv.weight.is_contiguous(memory_format=torch.channels_last) == speed.get('channels_last', True)
    assert ('batch norm folded (backbone)' in said(log)) == speed.get('fold_batch_norm', True)
    assert ('channels-last (backbone, neck, rpn_head)' in said(log)) == speed.get('channels_last', True)
    assert 'Undone' not in said(log)


def test_as_alone_it_is_the_plain_detector_to_the_bit_and_nothing_is_run(two_stage, log, monkeypatch):
    monkeypatch.setattr('mmdet_kd.teachers.verification._plain_pass', None)  # to call it would fail
    teacher = loaded(two_stage, **AS_ALONE)
    plain = MODELS.build(copy.deepcopy(two_stage[0]['model'])).eval()
    plain.load_state_dict(torch.load(two_stage[1], weights_only=True)['state_dict'])
    with torch.no_grad():
        neck = plain.extract_feat(pictures(seed=7, size=(128, 160)))
        expected = [*neck, *(tensor for tensors in plain.rpn_head(neck) for tensor in tensors)]
    found = answers(teacher, ('neck', 'rpn'))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not [line for line in log if line.startswith('To make the teacher')]


@pytest.mark.parametrize(
    ('asked', 'run'),
    [
        (('backbone',), ['backbone']),
        (('neck',), ['backbone', 'neck']),
        (('rpn',), ['backbone', 'neck', 'rpn_head']),
        (('roi',), ['backbone', 'neck', 'roi_head']),
        ((), []),
    ],
)
def test_what_nobody_asks_for_is_neither_run_nor_changed(teacher_cfg, tmp_path, asked, run, monkeypatch):
    source = trained(teacher_cfg, tmp_path / 'trained.pth')
    seen = []

    def build(self, build=DetectorTeacher._build):
        detector = build(self)
        for name in ('backbone', 'neck', 'rpn_head', 'roi_head'):
            part = detector.roi_head.bbox_head if name == 'roi_head' else getattr(detector, name)
            part.register_forward_hook(lambda *_, name=name: seen.append(name))
        return detector

    monkeypatch.setattr(DetectorTeacher, '_build', build)
    teacher = loaded(source, asked)
    assert set(seen) == set(run)
    assert all(seen.count(name) <= 3 for name in run), 'the plain pass, and one for each speed-up'
    for name in ('backbone', 'neck', 'rpn_head'):
        weight = next(p for p in getattr(teacher.detector, name).parameters() if p.dim() == 4 and p.shape[-1] > 1)
        assert weight.is_contiguous(memory_format=torch.channels_last) == (name in run)


@pytest.mark.parametrize('architecture', [retinanet, atss, gfl])
def test_a_one_stage_teacher(architecture, teacher_cfg, tmp_path, log):
    source, asked = trained(architecture(teacher_cfg), tmp_path / 'trained.pth'), ('neck', 'dense')
    assert_close(answers(loaded(source, asked), asked), answers(loaded(source, asked, **AS_ALONE), asked), 1e-4)
    assert 'channels-last (backbone, neck, bbox_head)' in said(log)


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_a_lower_precision_stays_near(two_stage, precision, log):
    expected = answers(loaded(two_stage, **AS_ALONE))
    teacher = loaded(two_stage, precision=precision)
    assert_close(answers(teacher), expected, 0.1)
    assert f'{precision} (backbone, neck, rpn_head, roi_head)' in said(log)
    dtypes = {p.dtype for p in teacher.detector.parameters()}
    assert dtypes == {getattr(torch, precision)}


@pytest.mark.parametrize(('precision', 'training'), [('bfloat16', 'float16'), ('float16', 'bfloat16')])
@pytest.mark.parametrize('undone', [False, True])
def test_a_precision_of_its_own_is_not_that_of_the_training(two_stage, precision, training, undone, log, monkeypatch):
    """It was compared with the plain detector in its own; a part that was left in single precision stays in it."""
    if undone:
        monkeypatch.setitem(ROUNDING, getattr(torch, precision), 0.0)
    teacher = loaded(two_stage, precision=precision)
    assert (f'{precision} (backbone, neck, rpn_head, roi_head)' in said(log)) != undone
    expected = answers(teacher)
    with torch.autocast('cpu', dtype=getattr(torch, training)):
        found = answers(teacher)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert {tensor.dtype for tensor in found} == {torch.float32 if undone else getattr(torch, precision)}


def test_without_a_precision_of_its_own_it_takes_that_of_the_training(two_stage):
    teacher = loaded(two_stage, ('neck',))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = answers(teacher, ('neck',))
    assert {feat.dtype for feat in found} == {torch.bfloat16}


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


def test_a_detector_tells_its_teacher_what_its_distillers_ask(student_cfg, teacher_cfg, teacher_checkpoint, log):
    """All of them, those included that a ramp may start later."""
    cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)
    cfg.model.teacher.update(fold_batch_norm=True, channels_last=True)
    cfg.model.distillers.roi = None
    cfg.model.distillers.rpn.weight = 0.0
    detector = build(cfg)
    assert set(detector.teacher.forms) == {'backbone', 'neck', 'rpn_head'}
    assert 'channels-last (backbone, neck, rpn_head)' in said(log)


@pytest.mark.parametrize('name', ['bf16', 'float32', 16])
def test_an_unknown_precision_is_refused(teacher_cfg, name):
    with pytest.raises(DistillationError, match=f'teacher.precision is {name!r}; it must be one of bfloat16, float16'):
        DetectorTeacher(teacher_cfg, None, precision=name)


@pytest.mark.slow
def test_a_compiled_teacher_says_the_same(two_stage, log):
    expected = answers(loaded(two_stage, **AS_ALONE))
    assert_close(answers(loaded(two_stage, compile=True)), expected, 1e-4)
    assert 'compiled (backbone, neck, rpn_head)' in said(log)
