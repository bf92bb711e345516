"""What only a GPU can show. What can run on a CPU too runs there as well, so that these tests are tested."""

import copy
import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from helpers.architectures import DCN, DCNV2, deformable, faster
from helpers.distil import AS_ALONE, DENSE, HINT, METHOD, distilled_cfg, raw_batch, save_teacher, soft_part, total
from helpers.one_stage import gfl, retinanet
from helpers.teachers import answers, assert_close, loaded, said, trained
from helpers.tiny import REPO
from helpers.training import assert_same_weights, distilled_run, train
from helpers.waits import WAITS_OF_MMDET, copies_to_a_gpu, soft_losses, waits_for_a_gpu
from mmdet.registry import MODELS
from torch.utils._pytree import tree_map_only

from mmdet_kd.detectors import KnowledgeDistillationMixin
from mmdet_kd.heads import Call
from mmdet_kd.knowledge import StudentKnowledge, observe_student, views_of
from mmdet_kd.teachers import Batch
from mmdet_kd.teachers.verification import full_single_precision

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
GPU = torch.device('cuda')
DEVICES = [pytest.param('cpu', marks=pytest.mark.slow), pytest.param('cuda', marks=needs_gpu)]
FAMILIES = {'two-stage': faster, 'RetinaNet': retinanet, 'GFL': gfl}


@pytest.fixture(autouse=True)
def _full_single_precision():
    """TF32 has 10 bits of 23."""
    with full_single_precision():
        yield


@pytest.fixture(autouse=True)
def _errors_of_its_own():
    """A kernel that fails ends all work of the process on the GPU, and is told of later: here, in its own test."""
    if torch.cuda.is_available():
        try:
            torch.cuda.synchronize()
        except RuntimeError as error:
            first = str(error).splitlines()[0]
            pytest.fail(f'an earlier test of this process has lost the GPU: {first}', pytrace=False)
    yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@pytest.fixture
def cfg_of(student_cfg, teacher_cfg, tmp_path):
    """Family -> config of a distillation with a teacher of that family."""

    def make(family='two-stage', **speed):
        student, teacher = FAMILIES[family](student_cfg), FAMILIES[family](teacher_cfg)
        checkpoint = save_teacher(teacher, tmp_path / f'{family}.pth', dataset_meta=dict(classes=CLASSES))
        cfg = distilled_cfg(student, teacher.to_dict(), checkpoint)
        cfg.model.teacher.update(speed)
        return cfg

    return make


CLASSES = ('circle', 'square', 'triangle')


def build_on(device, cfg):
    """As the Runner does: the model is moved, then initialised, so that its teacher is verified where it will run.

    The student's weights are those that a CPU draws.
    """
    torch.manual_seed(0)
    student = MODELS.build(copy.deepcopy(cfg.model))
    student.set_classes(CLASSES)
    student.init_weights()
    detector = MODELS.build(copy.deepcopy(cfg.model)).to(device)
    detector.set_classes(CLASSES)
    detector.init_weights()
    detector.load_state_dict(student.state_dict())
    return detector.train()


def losses_of(detector):
    torch.manual_seed(0)
    return detector(**detector.data_preprocessor(raw_batch(), training=True), mode='loss')


def tensors_of(module):
    return [*module.parameters(), *module.buffers()]


# Numbers.


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('device', DEVICES)
def test_distillers_say_the_same_of_the_same_step(device, family, cfg_of):
    """The student's step is recorded on the CPU: a rounding there could make a GPU sample other boxes."""
    cfg = cfg_of(family)
    here, there = build_on('cpu', cfg), build_on(device, cfg)
    data = here.data_preprocessor(raw_batch(), training=True)
    kinds = {kind for distiller in here.distillers.values() for kind in distiller.kinds}

    def move(value):
        return tree_map_only(torch.Tensor, lambda tensor: tensor.detach().to(device), value)

    torch.manual_seed(0)
    with observe_student(here, kinds) as student:
        super(KnowledgeDistillationMixin, here).loss(data['inputs'], data['data_samples'])
        calls = {
            point: [Call(move(call.arguments), move(call.result)) for call in calls]
            for point, calls in student._calls.items()
        }
        moved = StudentKnowledge(calls, views_of(there, kinds))
        batch = Batch.of(data['inputs'], data['data_samples'], None)
        taught, taught_there = (
            detector.teacher.observe(batch._replace(images=batch.images.to(where)))
            for detector, where in ((here, 'cpu'), (there, device))
        )
        step = batch.step(taught.canvas, taught.ratios)
        step_there = replace(step, truth=move(step.truth))
        for name in here.distillers:
            expected = here.distillers[name](student, taught, step)
            found = there.distillers[name](moved, taught_there, step_there)
            assert found.keys() == expected.keys()
            for part, loss in found.items():
                assert loss.device.type == device
                # KD on scores is a small difference of sides that are nearly alike: 2e-5 here.
                assert loss.item() == pytest.approx(expected[part].item(), rel=1e-4, abs=2e-8), f'{name}.loss_{part}'
                assert loss.item() != 0


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('device', DEVICES)
def test_a_whole_step_is_the_same(device, family, cfg_of):
    """All but the RoI head's, which may have sampled other proposals."""
    cfg = cfg_of(family)
    here, there = build_on('cpu', cfg), build_on(device, cfg)
    expected, found = losses_of(here), losses_of(there)
    total(found).backward()
    assert found.keys() == expected.keys()
    sampled = {'loss_cls', 'loss_bbox', 'acc', 'roi.loss_cls', 'roi.loss_bbox'} if family == 'two-stage' else set()
    compared = expected.keys() - sampled
    assert len(compared) >= 4
    for name in compared:
        for one, other in zip(
            *(each if isinstance(each, list) else [each] for each in (found[name], expected[name])), strict=True
        ):
            assert one.item() == pytest.approx(other.item(), rel=1e-3, abs=1e-5), name
    assert all(torch.isfinite(loss) for loss in soft_part(found).values())
    gradients = [parameter.grad for parameter in there.parameters() if parameter.requires_grad]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


# mmcv's own kernels for a two-stage student and for RetinaNet know no bfloat16.
MIXED = [('two-stage', 'float16'), ('RetinaNet', 'float16'), ('GFL', 'float16'), ('GFL', 'bfloat16')]
#: Share by which a half precision changes a loss. KD on scores compares two sides that are nearly alike, which bfloat16
#: cannot tell apart well; RoIs of other proposals are other RoIs.
CHANGE = {
    'float16': {'hint.loss_feat': 0.005, 'rpn.loss_cls': 0.01, 'rpn.loss_bbox': 0.01, 'dense.loss_cls': 0.05},
    'bfloat16': {'hint.loss_feat': 0.02},
}


@pytest.mark.parametrize(('family', 'dtype'), MIXED)
@pytest.mark.parametrize('device', DEVICES)
def test_mixed_precision_changes_little(device, family, dtype, cfg_of):
    if device == 'cpu' and family == 'two-stage':
        pytest.skip("mmcv's RoIAlign takes no float16 on a CPU")
    detector = build_on(device, cfg_of(family))
    single = {name: loss.item() for name, loss in soft_part(losses_of(detector)).items()}
    with torch.autocast(device, dtype=getattr(torch, dtype)):
        losses = losses_of(detector)
    total(losses).backward()
    mixed = {name: loss.item() for name, loss in soft_part(losses).items()}
    assert mixed.keys() == single.keys()
    for name in mixed.keys() & CHANGE[dtype].keys():
        assert mixed[name] == pytest.approx(single[name], rel=CHANGE[dtype][name]), name
        assert mixed[name] != single[name], 'nothing was computed in half precision'
    assert all(torch.isfinite(p.grad).all() for p in detector.parameters() if p.grad is not None)


@needs_gpu
@pytest.mark.parametrize(('family', 'dtype'), MIXED)
@pytest.mark.parametrize('precision', [None, 'bfloat16'])
def test_a_runner_trains_in_mixed_precision(family, dtype, precision, tmp_path, tiny_set):
    """As in single precision, but for what depends on the boxes that are sampled."""
    cfg = distilled_run(tmp_path, tiny_set, family=FAMILIES[family])
    single = train(cfg)
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype=dtype)
    cfg.model.teacher.precision = precision
    mixed = train(cfg)
    assert len(mixed) == 8
    hints = [[step['hint.loss_feat'] for step in steps.values()] for steps in (mixed, single)]
    assert hints[0] == pytest.approx(hints[1], rel=0.1)
    assert hints[0] != hints[1], 'nothing was computed in half precision'
    assert all(math.isfinite(step['loss']) for step in mixed.values())


# The teacher.


SPEEDS = {
    'as it comes': ({}, 1e-4, 'batch norm folded (backbone'),
    'float16': (dict(precision='float16'), 0.05, 'float16 (backbone, neck, rpn_head, roi_head)'),
    'bfloat16': (dict(precision='bfloat16'), 0.3, 'bfloat16 (backbone, neck, rpn_head, roi_head)'),
}


@pytest.mark.parametrize('speed', SPEEDS)
@pytest.mark.parametrize('device', DEVICES)
def test_a_fast_teacher_says_the_same(device, speed, teacher_cfg, tmp_path, log):
    options, tolerance, line = SPEEDS[speed]
    source = trained(teacher_cfg, tmp_path / 'teacher.pth')
    expected = answers(loaded(source, device=device, **AS_ALONE))
    assert_close(answers(loaded(source, device=device, **options)), expected, tolerance)
    assert line in said(log)
    assert 'channels-last (backbone, neck' in said(log)


@needs_gpu
def test_a_compiled_part_says_the_same(teacher_cfg, tmp_path, log):
    source, asked = trained(teacher_cfg, tmp_path / 'teacher.pth'), ('backbone',)
    expected = answers(loaded(source, asked, device=GPU, **AS_ALONE), asked)
    assert_close(answers(loaded(source, asked, device=GPU, compile=True), asked), expected, 1e-4)
    assert 'compiled (backbone)' in said(log)


@pytest.mark.parametrize('dcn', [DCN, DCNV2], ids=['DCN', 'DCNv2'])
@pytest.mark.parametrize('device', DEVICES)
def test_what_an_operator_cannot_take_is_undone(device, dcn, teacher_cfg, tmp_path, log):
    source, asked = trained(deformable(teacher_cfg, dcn), tmp_path / 'teacher.pth'), ('backbone', 'neck')
    expected = answers(loaded(source, asked, device=device, **AS_ALONE), asked)
    assert_close(answers(loaded(source, asked, device=device), asked), expected, 1e-4)
    print(device, said(log))  # an operator may take on a GPU what it does not on a CPU


@pytest.mark.parametrize('device', DEVICES)
def test_the_teacher_moves_along(device, cfg_of):
    detector = build_on('cpu', cfg_of())
    before = {name: loss.item() for name, loss in soft_part(losses_of(detector)).items() if 'roi' not in name}
    twin = copy.deepcopy(detector).to(device)
    assert {tensor.device.type for tensor in tensors_of(twin.teacher)} == {device}
    assert {tensor.device.type for tensor in tensors_of(detector.teacher)} == {'cpu'}
    for each in (twin, copy.deepcopy(twin), detector):
        losses = soft_part(losses_of(each))
        assert {name: losses[name].item() for name in before} == pytest.approx(before, rel=1e-3)
    held = [tensor.data_ptr() for tensor in tensors_of(twin.teacher)]
    assert [tensor.data_ptr() for tensor in tensors_of(copy.deepcopy(twin).teacher)] == held


# Law 7: nothing waits for the device.


@needs_gpu
@pytest.mark.parametrize('name', [*METHOD, 'dense', 'dense, GFL'])
@pytest.mark.parametrize('precision', [None, 'bfloat16'])
def test_a_distiller_waits_for_nothing(name, precision, cfg_of):
    cfg = cfg_of({'dense': 'RetinaNet', 'dense, GFL': 'GFL'}.get(name, 'two-stage'), precision=precision)
    name = name.partition(',')[0]
    cfg.model.distillers = {name: {**METHOD, 'dense': DENSE}[name]}
    detector = build_on(GPU, cfg)
    for call in soft_losses(detector):
        call()  # the first one finds out how to compute
    for call in soft_losses(detector):
        with waits_for_a_gpu() as waits:
            call()
    assert set(waits) <= (WAITS_OF_MMDET if name == 'roi' else set())
    for call in soft_losses(detector):
        assert copies_to_a_gpu(call) == 0


@needs_gpu
def test_waits_would_show():
    row = torch.zeros(3, device=GPU)
    for wait in (lambda: row.sum().item(), lambda: row[row > 0], lambda: torch.tensor([1.0], device=GPU)):
        with waits_for_a_gpu() as waits:
            wait()
        assert waits == ['test_cuda.py:<lambda>']
    assert copies_to_a_gpu(lambda: torch.ones(3).to(GPU)) == 1
    assert copies_to_a_gpu(lambda: torch.full((3,), 1.0, device=GPU)) == 0


@pytest.mark.parametrize('device', DEVICES)
def test_a_loss_that_is_not_finite_is_found_without_waiting(device, cfg_of):
    cfg = cfg_of()
    cfg.model.distillers = dict(hint=HINT)
    detector = build_on(device, cfg)
    with torch.no_grad():
        detector.distillers['hint'].adapters[0].conv.bias.fill_(float('nan'))
    found = pytest.raises(FloatingPointError, match=r'hint\.loss_feat is not finite')
    if device == 'cpu':
        with found:
            losses_of(detector)
        return
    torch.cuda._sleep(10**8)  # cycles: the verdict of this step cannot have arrived when the step ends
    losses_of(detector)
    with found:
        detector.state_dict()
    losses_of(detector)
    torch.cuda.synchronize()
    with found:
        losses_of(detector)
    guard = copy.deepcopy(detector._guard)
    guard.watch({'hint.loss_feat': torch.ones((), device=device)})
    with waits_for_a_gpu() as waits:
        guard.watch({'hint.loss_feat': torch.ones((), device=device)})
    assert waits == []
    guard.drain()


# Law 8: exact resume.


@pytest.mark.parametrize('device', DEVICES)
def test_resumed_training_repeats_the_uninterrupted_one(device, tmp_path, tiny_set, monkeypatch):
    """Without mmcv's RoIAlign, whose gradients on a GPU are sums in any order."""
    if device == 'cpu':
        monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: 'cpu')
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    try:
        cfg = distilled_run(tmp_path, tiny_set, family=gfl)
        whole = train(cfg)
        (tmp_path / 'run' / 'epoch_2.pth').rename(tmp_path / 'whole.pth')
        resumed = train(cfg, resume=tmp_path / 'run' / 'epoch_1.pth')
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.deterministic = before[1]
    assert resumed == {step: losses for step, losses in whole.items() if step >= 4}
    assert_same_weights(tmp_path / 'run' / 'epoch_2.pth', tmp_path / 'whole.pth')


# Several processes.


@pytest.mark.parametrize('device', DEVICES)
def test_two_processes_train_together(device, tmp_path, tiny_set):
    """On one GPU, which NCCL does not share among processes: gloo does."""
    cfg = distilled_run(tmp_path, tiny_set, **{'train_cfg.max_epochs': 1, 'default_hooks.logger.interval': 1})
    cfg.env_cfg.dist_cfg.backend = 'gloo'
    cfg.dump(tmp_path / 'distilled.py')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, REPO / 'tools/train.py', tmp_path / 'distilled.py', '--launcher', 'pytorch']
    env = os.environ | dict(WORLD_SIZE='2', LOCAL_RANK='0', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    env |= {'CUDA_VISIBLE_DEVICES': ''} if device == 'cpu' else {}
    ranks = [
        subprocess.Popen(command, cwd=tmp_path, env=env | dict(RANK=rank), stderr=subprocess.PIPE, text=True)
        for rank in ('0', '1')
    ]
    said_by_ranks = [rank.communicate(timeout=120)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said_by_ranks[1][-3000:]
    run = tmp_path / 'run'
    (scalars,) = run.glob('2*/vis_data/scalars.json')
    steps = [step for step in map(json.loads, scalars.read_text().splitlines()) if 'loss' in step]
    assert [step['step'] for step in steps] == [1, 2]  # 8 pictures, two a rank and step
    assert all(step['hint.loss_feat'] > 0 for step in steps)
    assert not [key for key in torch.load(run / 'epoch_1.pth', weights_only=True)['state_dict'] if 'teacher' in key]
