"""Whether the check sees that a training ends before the schedule of its learning rate does."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner

from mmdet_kd.checks.schedule import judge_schedule

LONG = 1000


@pytest.fixture
def runner(student_cfg):
    """Makes the runner of a training of three epochs, with the schedulers of a test."""

    def make(*schedulers):
        student_cfg.train_cfg.max_epochs = 3
        student_cfg.param_scheduler = schedulers[0] if len(schedulers) == 1 else list(schedulers)
        runner = Runner.from_cfg(student_cfg)
        assert runner.train_loop.max_epochs == 3
        return runner

    return make


def rate_after(scheduler, steps):
    """The learning rate with which a training that had so many steps takes its next one."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    built = PARAM_SCHEDULERS.build(dict(scheduler, optimizer=OptimWrapper(optimizer)))
    for _ in range(steps):
        built.step()
    return optimizer.param_groups[0]['lr']


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('late', [0, 1])
@pytest.mark.parametrize(
    'settings',
    [
        lambda last: dict(type='LinearLR', start_factor=0.1, end=last),
        lambda last: dict(type='ConstantLR', factor=0.1, end=last),
        lambda last: dict(type='MultiStepLR', milestones=[1, last - 1]),
        lambda last: dict(type='MultiStepLR', milestones=[last - 1], end=last + 5),
    ],
)
def test_a_schedule_ends_with_the_training_or_before_it(runner, settings, late, by_epoch):
    length = 3 if by_epoch else runner(None).train_loop.max_iters
    scheduler = dict(settings(length + late), by_epoch=by_epoch)
    (verdict,) = judge_schedule(runner(scheduler))
    is_whole = rate_after(scheduler, length - 1) == rate_after(scheduler, LONG)  # as mmengine has it
    assert verdict.passed == is_whole == (not late), verdict


@pytest.mark.parametrize('late', [0, 1])
def test_a_cosine_comes_down_with_the_training_or_before_it(runner, late):
    (verdict,) = judge_schedule(runner(dict(type='CosineAnnealingLR', begin=1, T_max=2 + late, end=3)))
    assert verdict.passed == (not late)
    assert verdict.found == f'CosineAnnealingLR ends at epoch {3 + late} of 3'


def test_each_scheduler_is_said_and_those_without_end_are_not(runner):
    schedulers = (
        dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=500),
        dict(type='MultiStepLR', milestones=[1, 2]),
        dict(type='ExponentialLR', gamma=0.9),
    )
    built = runner(*schedulers)
    warm_up, steps = judge_schedule(built)
    assert warm_up.found == f'LinearLR ends at iteration 500 of {built.train_loop.max_iters}'
    assert warm_up.cure == 'the training ends first: train longer, or shorten this LinearLR'
    assert steps == ('the learning rate', 'MultiStepLR changes it last at epoch 2 of 3', '')
    assert list(judge_schedule(runner(None))) == []
