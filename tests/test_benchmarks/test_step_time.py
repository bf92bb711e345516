"""What a step costs: measured on a tiny pair, and by what it must not change."""

import dataclasses
import json
from collections import Counter

import pytest
import torch
from helpers.architectures import cascade
from helpers.classifier import taught_by_classifier
from helpers.distil import HINT, RPN, distilled_cfg
from helpers.one_stage import retinanet
from helpers.tiny import REPO, call_tool, load_tool
from mmdet.registry import MODELS

SIZE = 64
CROSSKD = dict(type='CrossKDDistiller', depth=1, adapter=dict(type='ConvAdapter'))


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch):
    """The modules of benchmarks/ import each other by their names."""
    monkeypatch.syspath_prepend(str(REPO / 'benchmarks'))


@pytest.fixture
def steps():
    load_tool('benchmarks/step_time.py').set_up()
    return load_tool('benchmarks/steps.py')


@pytest.fixture
def costs():
    load_tool('benchmarks/step_time.py').set_up()
    return load_tool('benchmarks/costs.py')


def workload(steps, **more):
    return steps.Workload(**dict(images=1, size=SIZE, rois=16) | more)


@pytest.fixture
def cfg(student_cfg, teacher_cfg):
    return distilled_cfg(student_cfg, teacher_cfg.to_dict(), None)


def step_time(config, tmp_path, *more):
    options = ['--images', 1, '--size', SIZE, '--rois', 8, '--repeats', 2, '--results', tmp_path, *more]
    call_tool('benchmarks/step_time.py', config, *options)
    return json.loads((tmp_path / 'step_time.json').read_text())


COSTS = {
    *('student, s', 'plain teacher, s', 'distilled, teacher as it comes, s', 'tax, teacher as it comes'),
    *('peak of the student, MiB', 'beyond it, MiB', 'of weights and a pass'),
}


@pytest.mark.slow
def test_a_fragment_of_distillers_is_measured_on_the_common_pair(tmp_path):
    fragment = REPO / 'configs' / '_base_' / 'distillers' / 'pkd-two-stage.py'
    options = ['--images', 1, '--size', SIZE, '--rois', 8, '--repeats', 2, '--results', tmp_path, '--no-growth']
    call_tool('benchmarks/step_time.py', fragment, *options, '--single', '--name', 'methods')
    content = json.loads((tmp_path / 'step_time_methods.json').read_text())
    assert content['rows'].keys() == {'pkd-two-stage'}
    assert content['rows']['pkd-two-stage'].keys() == COSTS


@pytest.mark.slow
def test_a_fragment_may_be_measured_on_another_pair(student_cfg, teacher_cfg, tmp_path):
    fragment = REPO / 'configs' / '_base_' / 'distillers' / 'gid.py'  # which wants a dense head
    cfg = distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg).to_dict(), None)
    cfg.dump(tmp_path / 'pair.py')
    content = step_time(fragment, tmp_path, '--no-growth', '--pair', tmp_path / 'pair.py')
    assert content['settings']['pair'] == str(tmp_path / 'pair.py')
    assert content['rows'].keys() == {'gid'}


@pytest.mark.slow
def test_every_number_that_the_documents_quote_is_written(cfg, tmp_path, capsys):
    cfg.dump(tmp_path / 'whole.py')
    content = step_time(tmp_path / 'whole.py', tmp_path, '--no-growth')
    machine = dict(
        device=torch.backends.cpu.get_cpu_capability(), threads=torch.get_num_threads(), torch=torch.__version__
    )
    assert content['settings'] == dict(images=1, size=SIZE, rois=8, boxes=5, repeats=2, amp=False) | machine
    row = content['rows']['whole']
    bf16 = {'distilled, teacher bf16, s', 'tax, teacher bf16'}
    assert row.keys() == COSTS | bf16
    assert all(row[name].keys() == {'value', 'low', 'high'} for name in row if name.endswith(', s') or 'tax' in name)
    teacher = MODELS.build(cfg.model.teacher.config.model)
    kernels = sum(tensor.nbytes for tensor in teacher.parameters() if tensor.ndim > 1)  # folding leaves these
    assert row['beyond it, MiB'] >= round(kernels / 2**20, 1)
    assert 'Seconds a step, taxes, and memory' in capsys.readouterr().out


@pytest.mark.slow
def test_one_quantity_after_the_other_grows(steps, cfg):
    tool = load_tool('benchmarks/step_time.py')
    work = workload(steps)
    found = {name: (other, larger) for name, other, larger in tool.larger(cfg, work)}
    sizes = {'images': (1, 2, 4), 'RoIs': (64, 256, 1024), 'boxes an image': (1, 10, 100), 'hinted levels': (1, 3, 5)}
    assert list(found) == [f'{quantity}: {size}' for quantity, of_three in sizes.items() for size in of_three]
    for field, name in (('images', 'images: 4'), ('rois', 'RoIs: 1024'), ('boxes', 'boxes an image: 100')):
        other, larger = found[name]
        assert (other, larger) == (cfg, dataclasses.replace(work, **{field: int(name.split()[-1])}))
    other, same = found['hinted levels: 3']
    assert (other.model.distillers.hint.levels, same) == ((0, 1, 2), work)
    name, costs = next(tool.grow(cfg, work, repeats=2))
    assert name == 'images: 1'
    assert costs.keys() == COSTS | {'KD losses, s', 'their share, %'}


@pytest.mark.slow
def test_the_whole_growth_is_measured_and_written(cfg, tmp_path, capsys):
    cfg.dump(tmp_path / 'whole.py')
    before = dict(images=1)
    content = step_time(tmp_path / 'whole.py', tmp_path, '--no-growth')
    (tmp_path / 'step_time.json').write_text(json.dumps({**content, 'growth': before}))
    # what is quoted beside the default configs stays
    assert step_time(tmp_path / 'whole.py', tmp_path)['growth'] == before

    step_time(tmp_path / 'whole.py', tmp_path, '--name', 'own')
    content = json.loads((tmp_path / 'step_time_own.json').read_text())
    kinds = Counter(name.partition(':')[0] for name in content['growth'])
    assert kinds == {'images': 3, 'RoIs': 3, 'boxes an image': 3, 'hinted levels': 3}
    assert 'How whole grows' in capsys.readouterr().out


@pytest.mark.slow
def test_other_settings_begin_anew(cfg, tmp_path):
    cfg.dump(tmp_path / 'whole.py')
    (tmp_path / 'step_time.json').write_text(json.dumps(dict(settings={}, rows=dict(old={}), growth={})))
    assert list(step_time(tmp_path / 'whole.py', tmp_path, '--no-growth')['rows']) == ['whole']


def test_a_student_without_a_detector_as_its_only_teacher_is_refused(student_cfg, tmp_path):
    for cfg in (student_cfg, taught_by_classifier(student_cfg)):
        cfg.dump(tmp_path / 'other.py')
        with pytest.raises(SystemExit, match=r'other\.py has not one teacher that is a detector'):
            step_time(tmp_path / 'other.py', tmp_path)


def test_pictures_may_be_wider_than_high(steps, cfg):
    inputs = workload(steps, images=2, size=(64, 96)).batch(cfg)['inputs']
    assert [tuple(picture.shape) for picture in inputs] == [(3, 64, 96)] * 2


def test_a_step_samples_what_it_is_asked_for(steps, cfg):
    work = workload(steps, boxes=7)
    cfg = work.prepared(cfg)
    model = steps.build_distilled(cfg)
    rois, boxes = [], []
    model.roi_head.bbox_head.register_forward_hook(lambda _, inputs, __: rois.append(len(inputs[0])))
    loss = model.loss
    model.loss = lambda inputs, samples: boxes.append(len(samples[0].gt_instances)) or loss(inputs, samples)
    steps.step_of(model, cfg, work.batch(cfg))()
    assert rois[0] == 16  # first the student's, then the teacher's none: that is another module
    assert boxes == [7]


def test_a_step_is_the_same_whenever_it_is_called(steps, cfg):
    work = workload(steps)
    cfg = work.prepared(cfg)
    model = steps.build_distilled(cfg)
    step, losses = steps.step_of(model, cfg, work.batch(cfg)), []
    loss = model.loss
    model.loss = lambda *batch: losses.append(loss(*batch)) or losses[-1]
    for _ in range(3):
        step()
    assert losses[0].keys() == losses[2].keys()
    assert all(torch.equal(torch.as_tensor(losses[0][name]), torch.as_tensor(losses[2][name])) for name in losses[0])


@pytest.mark.parametrize(
    ('distillers', 'asked'),
    [(dict(hint=HINT), {}), (dict(rpn=RPN), {'rpn': 1}), ({}, {'rpn': 1, 'roi': 1})],
    ids=['hint', 'rpn', 'whole'],
)
def test_a_plain_pass_is_as_deep_as_the_method_asks(steps, student_cfg, teacher_cfg, distillers, asked):
    heads = Counter(of_a_plain_pass(steps, distilled_cfg(student_cfg, teacher_cfg.to_dict(), None, **distillers)))
    assert heads == asked


def test_a_plain_pass_judges_every_stage_of_a_cascade(steps, student_cfg, teacher_cfg):
    cfg = distilled_cfg(cascade(student_cfg), cascade(teacher_cfg).to_dict(), None)
    assert Counter(of_a_plain_pass(steps, cfg))['roi'] == len(cfg.model.roi_head.bbox_head) > 1


def test_a_plain_pass_takes_the_students_maps_into_its_head(steps, student_cfg, teacher_cfg):
    cfg = distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg).to_dict(), None, kd=CROSSKD)
    work = workload(steps)
    cfg = work.prepared(cfg)
    model, batch = steps.build_distilled(cfg), work.batch(cfg)
    teacher = steps.PlainTeacher(model, steps.step_of(model, cfg, batch))
    levels = []
    teacher.detector.bbox_head.retina_cls.register_forward_hook(lambda *_: levels.append(1))
    teacher.pass_over(batch)()
    assert len(levels) == 2 * cfg.model.neck.num_outs  # its own maps, and the student's


def of_a_plain_pass(steps, cfg):
    """The heads of the teacher that a plain pass runs, and as many RoIs as the student had."""
    work = workload(steps)
    cfg = work.prepared(cfg)
    model = steps.build_distilled(cfg)
    batch = work.batch(cfg)
    teacher = steps.PlainTeacher(model, steps.step_of(model, cfg, batch))
    assert not any(parameter.requires_grad for parameter in teacher.detector.parameters())
    called = []

    def roi(_, inputs, __):
        called.append('roi')
        assert len(inputs[0]) == 16

    boxes = teacher.detector.roi_head.bbox_head
    for head in boxes if isinstance(boxes, torch.nn.ModuleList) else [boxes]:
        head.register_forward_hook(roi)
    teacher.detector.rpn_head.register_forward_hook(lambda *_: called.append('rpn'))
    teacher.pass_over(batch)()
    return called


def test_timing_the_losses_changes_no_step(steps, cfg):
    work = workload(steps)
    cfg = work.prepared(cfg)

    def gradients_of_two_steps(timed):
        model = steps.build_distilled(cfg)
        passes, gradients = [], {}
        model.teacher.detector.backbone.register_forward_hook(lambda *_: passes.append(1))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(
                    lambda p, name=name: gradients.setdefault(name, []).append(p.grad.clone())
                )
        step = steps.step_of(model, cfg, work.batch(cfg))
        for _ in range(2):
            steps.loss_seconds(model, step) if timed else step()
        assert len(passes) == 2
        return gradients, model.state_dict()

    (plain, state), (timed, state_timed) = gradients_of_two_steps(False), gradients_of_two_steps(True)
    assert plain.keys() == timed.keys()
    for name, of_steps in plain.items():
        assert len(of_steps) == len(timed[name]) == 2
        assert all(map(torch.equal, of_steps, timed[name]))
    assert any(gradient.any() for of_steps in plain.values() for gradient in of_steps)
    assert state.keys() == state_timed.keys()
    assert all(state[name].equal(state_timed[name]) for name in state)


def test_the_student_of_a_smaller_picture_is_measured_on_it(steps, cfg):
    cfg.model.student_scale = 0.5
    work = workload(steps)
    cfg = work.prepared(cfg)
    seen = []
    forward = torch.nn.Conv2d.forward

    def watched(module, images):
        seen.append(tuple(images.shape[-2:]))
        return forward(module, images)

    step = steps.student_step(cfg, work.batch(cfg))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Conv2d, 'forward', watched)
        step()
    assert seen[0] == (SIZE // 2, SIZE // 2)


def test_a_tax_is_of_medians(costs):
    assert costs.tax([3.0, 2.0, 9.0], [1.0, 1.5, 1.0], [2.0, 2.0, 8.0])['value'] == 1.0  # (3 - 1) / 2
    noisy = costs.tax([3.0, 3.1, 2.9, 3.2] * 10, [1.0, 1.1, 0.9, 1.0] * 10, [2.0, 2.0, 2.1, 1.9] * 10)
    assert noisy['low'] < noisy['value'] < noisy['high']
    few = costs.tax([3.0, 3.1, 2.9, 3.2], [1.0, 1.1, 0.9, 1.0], [2.0, 2.0, 2.1, 1.9])
    assert few['high'] - few['low'] > noisy['high'] - noisy['low']


def test_each_kind_of_step_has_its_seconds_and_each_teacher_its_tax(costs):
    """Times are given: medians with their quartiles, and taxes in passes of the plain teacher."""
    student, plain = [1.0, 2.0, 1.0], [2.0, 2.0, 4.0]
    found = {'student': student, 'plain teacher': plain}
    found |= {costs.distilled_by('as it comes'): [4.0, 3.0, 5.0], costs.distilled_by('bf16'): [2.0, 3.0, 1.5]}
    got = costs.costs_of(found)
    values = {name: number['value'] for name, number in got.items()}
    assert values == {
        'student, s': 1.0,
        'plain teacher, s': 2.0,
        'distilled, teacher as it comes, s': 4.0,
        'distilled, teacher bf16, s': 2.0,
        'tax, teacher as it comes': 1.5,  # (4 - 1) / 2
        'tax, teacher bf16': 0.5,
    }
    assert got['distilled, teacher as it comes, s'] == dict(value=4.0, low=3.0, high=5.0)


def test_losses_are_timed_one_distiller_after_the_other(steps, cfg, monkeypatch):
    """Their seconds are added; here each takes one."""
    work = workload(steps)
    cfg = work.prepared(cfg)
    model = steps.build_distilled(cfg)
    monkeypatch.setattr(steps, 'seconds', lambda work: work() or 1.0)
    assert steps.loss_seconds(model, steps.step_of(model, cfg, work.batch(cfg))) == len(model.distillers) == 3


def test_the_peak_is_what_is_held_at_a_time():
    meter = load_tool('benchmarks/meter.py')

    def work():
        first = torch.zeros(250_000)  # 1 MB
        second = first + 1
        del first
        return second * 2

    assert meter.peak_bytes(work) == pytest.approx(2e6, rel=0.01)


def test_each_turn_has_every_work_in_an_order_of_its_own():
    meter = load_tool('benchmarks/meter.py')
    order = []
    found = meter.in_turns({name: lambda name=name: order.append(name) for name in 'abc'}, 9)
    assert ''.join(order[:6]) == 'abc' * 2  # to warm up
    turns = [''.join(order[start : start + 3]) for start in range(6, len(order), 3)]
    assert all(sorted(turn) == ['a', 'b', 'c'] for turn in turns)
    assert len(set(turns)) > 3
    assert [len(values) for values in found.values()] == [9, 9, 9]
