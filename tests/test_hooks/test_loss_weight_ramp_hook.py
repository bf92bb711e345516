import numpy as np
import pytest
from helpers.training import distilled_run, train
from mmengine.hooks import Hook

from mmdet_kd.hooks import LossWeightRampHook
from mmdet_kd.teachers import DetectorTeacher


@pytest.mark.parametrize(
    ('position', 'expected'),
    # begin 2, end 6, from 1 to 3: a half each step
    [(0, 1.0), (2, 1.0), (3, 1.5), (4, 2.0), (5, 2.5), (6, 3.0), (100, 3.0)],
)
def test_the_value_is_constant_then_linear_then_constant(position, expected):
    assert LossWeightRampHook('x', start=1, stop=3, begin=2, end=6).value_at(position) == expected


def test_a_ramp_may_fall_and_may_be_a_step():
    assert LossWeightRampHook('x', 1, 0, 0, 4).value_at(1) == 0.75
    step = LossWeightRampHook('x', 0.5, 0, 3, 3)
    assert [step.value_at(position) for position in (2, 3, 4)] == [0.5, 0, 0]


@pytest.mark.parametrize('value', [-0.1, float('nan'), float('inf')])
@pytest.mark.parametrize('name', ['start', 'stop'])
def test_negative_and_non_finite_values_are_refused(name, value):
    with pytest.raises(ValueError, match=f'{name} must be finite and >= 0, got {value}'):
        LossWeightRampHook('x', **{'start': 0, 'stop': 1, name: value}, begin=0, end=1)


@pytest.mark.parametrize(('begin', 'end'), [(2, 1), (-1, 1)])
def test_an_impossible_interval_is_refused(begin, end):
    with pytest.raises(ValueError, match=f'needs 0 <= begin <= end, got begin={begin}, end={end}'):
        LossWeightRampHook('x', 0, 1, begin, end)


class Watch(Hook):
    """Records two numbers of the model as each step uses them."""

    def __init__(self):
        self.seen = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        distillers = runner.model.distillers
        self.seen[runner.iter] = (distillers.roi.mu, distillers.hint.loss.loss_weight)


RAMPS = [
    {'type': 'LossWeightRampHook', 'path': 'distillers.roi.mu', 'start': 0, 'stop': 0.5, 'begin': 0, 'end': 5},
    {
        'type': 'LossWeightRampHook',
        'path': 'distillers.hint.loss.loss_weight',
        'start': 0.5,
        'stop': 0.1,
        'begin': 0,
        'end': 1,
        'by_epoch': True,
    },
]


def test_it_sets_the_numbers_that_training_uses_and_a_resumed_run_has_them_right(tmp_path, tiny_set):
    cfg = distilled_run(tmp_path, tiny_set, custom_hooks=RAMPS)
    watch, again = Watch(), Watch()
    losses = train(cfg, hooks=[watch])
    expected = {step: (min(step * 0.1, 0.5), 0.5 if step < 4 else 0.1) for step in range(8)}
    assert {step: pytest.approx(values) for step, values in expected.items()} == watch.seen
    resumed = train(cfg, resume=tmp_path / 'run' / 'epoch_1.pth', hooks=[again])
    assert again.seen == {step: values for step, values in watch.seen.items() if step >= 4}
    assert resumed == {step: values for step, values in losses.items() if step >= 4}
    assert not np.isclose(losses[0]['hint.loss_feat'], losses[7]['hint.loss_feat'], rtol=0.5)  # a fifth of the weight


@pytest.mark.parametrize('path', ['distillers.roy.mu', 'distillers.roi.nu', 'distillers.roi', 'mu'])
def test_an_unknown_path_is_refused_before_training_with_a_list_of_those_that_exist(tmp_path, tiny_set, path):
    cfg = distilled_run(tmp_path, tiny_set, custom_hooks=[{**RAMPS[0], 'path': path}])
    with pytest.raises(ValueError, match=f"the model has no number '{path}'") as caught:
        train(cfg)
    listed = str(caught.value).split()
    for known in ('distillers.roi.mu', 'distillers.roi.loss_bbox.loss_weight', 'distillers.hint.loss.loss_weight'):
        assert known in listed
    assert not (tmp_path / 'run' / 'epoch_1.pth').exists()


STOP = {
    'type': 'LossWeightRampHook',
    'path': 'distillers.*.weight',
    'start': 1,
    'stop': 0,
    'begin': 1,
    'end': 1,
    'by_epoch': True,
}


@pytest.mark.slow
def test_a_distillation_that_is_stopped_after_an_epoch_no_longer_runs_the_teacher(tmp_path, tiny_set, monkeypatch):
    looks = []
    knowledge_of = DetectorTeacher.knowledge_of
    monkeypatch.setattr(DetectorTeacher, 'knowledge_of', lambda *args: looks.append(1) or knowledge_of(*args))
    cfg = distilled_run(tmp_path, tiny_set, custom_hooks=[STOP])
    losses = train(cfg)
    assert len(looks) == 4  # the steps of the first epoch
    soft = [name for name in losses[0] if name.startswith(('hint.', 'rpn.', 'roi.'))]
    assert len(soft) == 5
    assert all(losses[step][name] > 0 for step in range(4) for name in soft if name.endswith(('feat', 'cls')))
    assert all(losses[step][name] == 0 for step in range(4, 8) for name in soft)

    resumed = train(cfg, resume=tmp_path / 'run' / 'epoch_1.pth')
    assert len(looks) == 4
    assert resumed == {step: values for step, values in losses.items() if step >= 4}


def test_a_pattern_that_fits_nothing_is_refused(tmp_path, tiny_set):
    cfg = distilled_run(tmp_path, tiny_set, custom_hooks=[{**STOP, 'path': 'distillers.*.wait'}])
    with pytest.raises(ValueError, match=r"has no number 'distillers\.\*\.wait'"):
        train(cfg)


@pytest.mark.parametrize('path', ['distillers.roi.mu', 'distillers.*.weight'])
def test_a_share_larger_than_one_is_refused(tmp_path, tiny_set, path):
    cfg = distilled_run(tmp_path, tiny_set, custom_hooks=[{**STOP, 'path': path, 'start': 1.5}])
    with pytest.raises(ValueError, match=rf'{path.rpartition(".")[2]} must lie in \[0, 1\]'):
        train(cfg)


def test_two_ramps_of_one_number_are_refused(tmp_path, tiny_set):
    ramps = [{**STOP, 'path': path} for path in ('distillers.*.weight', 'distillers.roi.weight')]
    with pytest.raises(ValueError, match=r'two LossWeightRampHooks move distillers\.roi\.weight'):
        train(distilled_run(tmp_path, tiny_set, custom_hooks=ramps))


@pytest.mark.slow
def test_a_pattern_finds_whole_numbers_too_and_its_range_is_that_of_what_it_finds(tmp_path, tiny_set):
    steps = {**STOP, 'path': 'distillers.*.mu', 'stop': 0.25, 'by_epoch': False}
    cfg = distilled_run(tmp_path, tiny_set, custom_hooks=[steps], **{'train_cfg.max_epochs': 1})
    cfg.model.distillers.roi.mu = 1
    watch = Watch()
    train(cfg, hooks=[watch])
    assert [watch.seen[step][0] for step in (0, 1)] == [1, 0.25]
    cfg.custom_hooks = [{**STOP, 'path': 'distillers.rpn.*', 'start': 2.0}]
    with pytest.raises(ValueError, match=r'mu must lie in \[0, 1\]'):
        train(cfg)
