"""A validation that was interrupted is made up, once."""

import json

import pytest
import torch
from helpers import tiny_student_cfg
from helpers.point import point_runner
from helpers.tiny import call_tool
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook

from mmdet_kd.hooks.validation_resume_hook import _is_due

MADE_UP = 'so it is made up'


@pytest.fixture
def write(tiny_set, tmp_path):
    """Writes a config of one epoch with these hooks besides."""

    def written(*hooks):
        cfg = tiny_student_cfg(tiny_set, tmp_path / 'run', **{'train_cfg.max_epochs': 1})
        cfg.custom_imports = {'imports': ['helpers.kill_hook'], 'allow_failed_imports': False}
        cfg.custom_hooks = list(hooks)
        cfg.default_hooks.checkpoint.save_best = 'coco/bbox_mAP'
        cfg.dump(tmp_path / 'run.py')
        return tmp_path / 'run.py'

    return written


def scores(run):
    """Epochs whose box AP the last run in a work dir has written."""
    path = max(run.glob('2*/vis_data/scalars.json'))
    return [line['step'] for line in map(json.loads, path.read_text().splitlines()) if 'coco/bbox_mAP' in line]


def times_made_up(run):
    """How often the logs of all runs in a work dir say so; runs that start in one second share a log."""
    return sum(path.read_text().count(MADE_UP) for path in run.glob('2*/2*.log'))


def test_the_last_validation_is_made_up_when_it_was_interrupted(write, tmp_path):
    run = tmp_path / 'run'
    with pytest.raises(KeyboardInterrupt):
        call_tool('tools/train.py', write({'type': 'StopInValidationHook', 'epoch': 1}))
    call_tool('tools/train.py', write(), '--resume')
    assert scores(run) == [1]
    assert times_made_up(run) == 1
    known = torch.load(run / 'epoch_1.pth', weights_only=False)['message_hub']['runtime_info']
    assert known['best_ckpt'] == str(run / 'best_coco_bbox_mAP_epoch_1.pth')  # as if it had never been interrupted
    call_tool('tools/train.py', write(), '--resume')
    assert times_made_up(run) == 1


class Nothing(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {}


class Follow(Hook):
    """Collects where mmengine validated, and where a validation is said to be due."""

    def __init__(self):
        self.validated, self.due = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter > 0:
            self.after_train(runner)

    def after_train(self, runner):
        self.due += [runner.iter] if _is_due(runner.train_loop) else []

    def after_val_epoch(self, runner, metrics=None):
        self.validated.append(runner.iter)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'val_interval': 3}, [3, 6, 9, 10]),
        ({'val_begin': 8, 'val_interval': 1}, [8, 9, 10]),
        ({'val_interval': 2, 'dynamic_intervals': [(4, 3)]}, [2, 3, 6, 9, 10]),
    ],
)
@pytest.mark.parametrize(
    'by_epoch',
    # mmengine waits for 2 s whenever a loader of a loop over iterations begins again.
    [True, pytest.param(False, marks=pytest.mark.slow)],
)
def test_a_validation_is_due_where_mmengine_validates(tmp_path, by_epoch, options, expected):
    """One step an epoch, so that epochs and iterations have the same numbers."""
    train_cfg = {'by_epoch': by_epoch, 'max_epochs' if by_epoch else 'max_iters': 10, **options}
    runner = point_runner(tmp_path, Nothing(), tmp_path.name, train_cfg)
    follow = Follow()
    runner.register_hook(follow)
    runner.train()
    assert follow.validated == follow.due == expected
