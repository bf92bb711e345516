"""What a step costs: measured on a tiny pair, and by what it must not change."""

import json

import pytest
import torch
from helpers.distil import HINT, RPN, distilled_cfg
from helpers.tiny import call_tool, load_tool

SIZE = 64


@pytest.fixture
def benchmarks():
    """The modules of benchmarks/, which import each other by their names."""
    step_time = load_tool('benchmarks/step_time.py')
    step_time.set_up()
    return step_time


def workload(benchmarks, **more):
    return benchmarks.Workload(images=1, size=SIZE, rois=16, **more)


@pytest.fixture
def cfg(student_cfg, teacher_cfg):
    return distilled_cfg(student_cfg, teacher_cfg.to_dict(), None)


def test_every_number_that_the_documents_quote_is_written(cfg, tmp_path, capsys):
    cfg.dump(tmp_path / 'whole.py')
    options = ['--images', 1, '--size', SIZE, '--rois', 8, '--repeats', 2, '--results', tmp_path]
    call_tool('benchmarks/step_time.py', tmp_path / 'whole.py', *options)
    content = json.loads((tmp_path / 'step_time.json').read_text())
    assert content['settings'] == {
        **dict(images=1, size=SIZE, rois=8, boxes=5, repeats=2, amp=False),
        **dict(device='cpu', threads=torch.get_num_threads()),
    }
    row = content['rows']['whole']
    assert row['student, s']['median'] > 0
    assert row['tax, teacher as it comes']['low'] <= row['tax, teacher as it comes']['high']
    assert row['beyond it, MiB'] > 0
    assert {name.partition(':')[0] for name in content['growth']} == {
        'images',
        'RoIs',
        'boxes an image',
        'hinted levels',
    }
    assert all(row['KD losses, s']['median'] > 0 for row in content['growth'].values())
    assert 'How whole grows' in capsys.readouterr().out


def test_a_step_samples_what_it_is_asked_for(benchmarks, cfg):
    work = workload(benchmarks, boxes=7)
    model = benchmarks.build_distilled(benchmarks.prepared(cfg, work))
    rois, boxes = [], []
    model.roi_head.bbox_head.register_forward_hook(lambda _, inputs, __: rois.append(len(inputs[0])))
    loss = model.loss
    model.loss = lambda inputs, samples: boxes.append(len(samples[0].gt_instances)) or loss(inputs, samples)
    benchmarks.step_of(model, cfg, work)()
    assert rois[0] == 16  # first the student's, then the teacher's none: that is another module
    assert boxes == [7]


@pytest.mark.parametrize(
    ('distillers', 'asked'), [(dict(hint=HINT), []), (dict(rpn=RPN), ['rpn'])], ids=['hint', 'rpn']
)
def test_a_plain_pass_is_as_deep_as_the_method_asks(benchmarks, student_cfg, teacher_cfg, distillers, asked):
    cfg = distilled_cfg(student_cfg, teacher_cfg.to_dict(), None, **distillers)
    work = workload(benchmarks)
    teacher = benchmarks.PlainTeacher.of(benchmarks.build_distilled(benchmarks.prepared(cfg, work)))
    heads = []
    teacher.detector.rpn_head.register_forward_hook(lambda *_: heads.append('rpn'))
    teacher.detector.roi_head.bbox_head.register_forward_hook(lambda *_: heads.append('roi'))
    teacher.pass_of(work)()
    assert heads == asked
    assert not any(parameter.requires_grad for parameter in teacher.detector.parameters())


def test_timing_the_losses_changes_no_step(benchmarks, cfg):
    work = workload(benchmarks)

    def weights_after_two_steps(timed):
        model = benchmarks.build_distilled(benchmarks.prepared(cfg, work))
        passes = []
        model.teacher.detector.backbone.register_forward_hook(lambda *_: passes.append(1))
        step = benchmarks.step_of(model, cfg, work)
        for _ in range(2):
            seconds = benchmarks.loss_seconds(model, step) if timed else step()
        assert len(passes) == 2
        assert not timed or 0 < seconds < 1
        return model.state_dict()

    plain, timed = weights_after_two_steps(False), weights_after_two_steps(True)
    assert plain.keys() == timed.keys()
    assert all(plain[name].equal(timed[name]) for name in plain)


def test_the_student_of_a_smaller_picture_is_measured_on_it(benchmarks, cfg):
    cfg.model.student_scale = 0.5
    assert benchmarks.student_work(cfg, workload(benchmarks)).size == SIZE // 2


def test_the_peak_is_what_is_held_at_a_time():
    meter = load_tool('benchmarks/meter.py')

    def work():
        first = torch.zeros(250_000)  # 1 MB
        second = first + 1
        del first
        return second * 2

    assert meter.peak_bytes(work) == pytest.approx(2e6, rel=0.01)


def test_turns_are_taken_one_after_the_other():
    meter = load_tool('benchmarks/meter.py')
    order = []
    found = meter.in_turns({name: lambda name=name: order.append(name) for name in 'ab'}, 3)
    assert ''.join(order) == 'ab' * (2 + 3)
    assert [len(values) for values in found.values()] == [3, 3]
