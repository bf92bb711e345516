"""Whether the check sees that a training and the schedule of its learning rate are not of one length."""

import pytest
import torch
from helpers.zoo import CONFIGS
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner

from mmdet_kd.checks.schedule import judge_schedule

EPOCHS = 12
NEVER = 10**6


@pytest.fixture
def judged(student_cfg):
    """What is said of a scheduler, or of several, in a training of 12 epochs."""

    def judge(*schedulers, ranks=1, **train_cfg):
        student_cfg.train_cfg = train_cfg or dict(type='EpochBasedTrainLoop', max_epochs=EPOCHS)
        student_cfg.param_scheduler = list(schedulers)
        runner = Runner.from_cfg(student_cfg)
        assert runner.train_loop.max_iters > 0  # its data sets are built
        runner.optim_wrapper = runner.build_optim_wrapper(student_cfg.optim_wrapper)
        return list(judge_schedule(runner, ranks))

    return judge


def rate_in(scheduler, step):
    """The learning rate of a step, counted from 0, as mmengine has it."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    built = PARAM_SCHEDULERS.build(dict(scheduler, optimizer=OptimWrapper(optimizer)))
    for _ in range(step):
        built.step()
    return optimizer.param_groups[0]['lr']


@pytest.mark.parametrize(
    ('settings', 'cure'),
    [
        (dict(milestones=[8, 11]), ''),
        (dict(milestones=[8, 11], end=12), ''),
        (dict(milestones=[8, 11], end=24), ''),
        (dict(milestones=[7, 10], begin=1), ''),
        (
            dict(milestones=[8, 11], begin=1),
            'it never comes to 12: make its milestones smaller, or the training longer',
        ),
        (dict(milestones=[8, 12]), 'it never comes to 12: make its milestones smaller, or the training longer'),
        (dict(milestones=[8, 11, 16]), 'it never comes to 16: make its milestones smaller, or the training longer'),
        (dict(milestones=[8, 11], end=8), 'it never comes to 8: make its milestones smaller, or its end larger'),
    ],
)
def test_every_milestone_comes_in_time(judged, settings, cure):
    scheduler = dict(type='MultiStepLR', **settings)
    (verdict,) = judged(scheduler)
    is_whole = rate_in(scheduler, EPOCHS - 1) == rate_in(dict(scheduler, end=NEVER), 100)
    assert (verdict.cure, verdict.passed) == (cure, is_whole)


@pytest.mark.parametrize(
    ('end', 'is_whole'), [(5, True), (6, True), (7, False), (12, False), (13, False), (None, False)]
)
@pytest.mark.parametrize('kind', [dict(type='LinearLR', start_factor=0.1), dict(type='mmdet.QuadraticWarmupLR')])
def test_a_warm_up_is_no_more_than_half_of_a_training(judged, kind, end, is_whole):
    scheduler = kind if end is None else dict(kind, end=end)
    (verdict,) = judged(scheduler)
    assert verdict.passed == is_whole
    assert ('make its end smaller, or the training longer' in verdict.cure) == (not is_whole)
    if is_whole:
        assert rate_in(dict(scheduler, type=kind['type'].removeprefix('mmdet.')), end - 1) == pytest.approx(1.0)


@pytest.mark.parametrize('kind', [dict(type='LinearLR', start_factor=1.0, end_factor=0.1), dict(type='PolyLR')])
def test_a_decay_may_take_the_whole_training_and_no_more(judged, kind):
    assert [verdict.passed for end in (12, 13) for verdict in judged(dict(kind, end=end))] == [True, False]
    assert rate_in(dict(kind, end=13), EPOCHS - 1) > rate_in(dict(kind, end=12), EPOCHS - 1)


@pytest.mark.parametrize(
    ('settings', 'share', 'cure'),
    [
        (dict(T_max=12, end=12), 100, ''),
        (dict(), 100, ''),
        (dict(begin=6, T_max=6, end=12), 100, ''),
        (dict(begin=1, T_max=12, end=12), 92, ''),
        (dict(T_max=16, end=16), 75, 'it is cut off: make its T_max smaller, or the training longer'),
        (dict(T_max=12, end=6), 50, 'it is cut off: make its T_max smaller, or its end larger'),
    ],
)
def test_a_cosine_comes_down(judged, settings, share, cure):
    (verdict,) = judged(dict(type='CosineAnnealingLR', **settings))
    assert verdict == ('param_scheduler', f'CosineAnnealingLR goes {share} % of its way, of 12 epochs', cure)
    last = rate_in(dict(type='CosineAnnealingLR', **{'T_max': 12, 'end': 12} | settings), EPOCHS)
    assert (last < 0.1) == verdict.passed


def test_a_cosine_that_comes_back_is_told(judged):
    scheduler = dict(type='CosineAnnealingLR', T_max=6)
    (verdict,) = judged(scheduler)
    assert verdict.cure == 'write end=6'
    assert rate_in(scheduler, 11) > 0.9
    (mended,) = judged(dict(scheduler, end=6))
    assert mended.passed
    assert rate_in(dict(scheduler, end=6), 11) < 0.1


@pytest.mark.parametrize('name', ['faster-rcnn_r50-caffe_fpn_ms-2x_coco', 'faster-rcnn_r50-caffe-dc5_ms-3x_coco'])
def test_a_schedule_of_mmdets_that_was_lengthened_without_its_end_is_told(judged, name):
    """Both inherit an end of 12 epochs: their rate never falls."""
    cfg = Config.fromfile(CONFIGS / 'faster_rcnn' / f'{name}.py')
    (scheduler,) = [each for each in cfg.param_scheduler if each.type == 'MultiStepLR']
    (verdict,) = judged(scheduler, **cfg.train_cfg)
    assert 'make its milestones smaller, or its end larger' in verdict.cure
    assert rate_in(scheduler, cfg.train_cfg.max_epochs - 1) == 1.0
    assert all(each.passed for each in judged(dict(scheduler, end=cfg.train_cfg.max_epochs), **cfg.train_cfg))


def test_steps_come_in_time(judged):
    assert [verdict.passed for step in (11, 12) for verdict in judged(dict(type='StepLR', step_size=step))] == [
        True,
        False,
    ]


def test_iterations_are_those_of_each_process(judged):
    by_iterations = dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=13)
    by_epochs = dict(type='LinearLR', start_factor=0.001, end=3, convert_to_iter_based=True)
    for ranks in (1, 2):
        few, as_many = judged(by_iterations, by_epochs, ranks=ranks)
        assert few.found == f'LinearLR ends at 13, of {48 // ranks} iterations'
        assert (few.passed, as_many.passed) == (ranks == 1, True)


def test_epochs_of_a_training_by_iterations_are_converted_or_never_come(judged):
    steps = dict(type='MultiStepLR', milestones=[8, 11])
    by_iterations = dict(type='IterBasedTrainLoop', max_iters=48)
    assert [each.passed for each in judged(dict(steps, end=12, convert_to_iter_based=True), **by_iterations)] == [True]
    assert [each.passed for each in judged(steps, **by_iterations)] == [False]


def test_what_has_no_length_is_passed_over(judged):
    assert (
        judged(
            dict(type='ExponentialLR', gamma=0.9, end=50),
            dict(type='ReduceOnPlateauLR', monitor='coco/bbox_mAP', end=100),
            dict(type='ConstantLR', factor=1.0, end=20),
        )
        == []
    )
    assert judged() == []
