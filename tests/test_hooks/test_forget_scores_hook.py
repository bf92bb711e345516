"""A validation is logged with its own scores, never with those of the one before."""

import pytest
from helpers import tiny_student_cfg
from helpers.point import point_runner
from helpers.tiny import call_tool
from mmengine.evaluator import BaseMetric

from mmdet_kd.comparison import Recipe, Training
from mmdet_kd.errors import DistillationError
from mmdet_kd.hooks import ForgetScoresHook
from mmdet_kd.runtime.results import unscored_validation, validation_curve


class Scores(BaseMetric):
    """Those that are given, one a validation; as mmdet's CocoMetric, it says nothing where nothing was found."""

    default_prefix = 'coco'

    def __init__(self, *given):
        super().__init__()
        self.given = iter(given)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        score = next(self.given)
        return {} if score is None else {'bbox_mAP': score}


def trained(folder, *scores, hooks=()):
    """Train an epoch a score, and return what the log says: epoch -> score."""
    runner = point_runner(
        folder,
        Scores(*scores),
        f'{folder.parent.name}-{folder.name}',
        {'by_epoch': True, 'max_epochs': len(scores), 'val_interval': 1},
        visualizer={'type': 'Visualizer', 'vis_backends': [{'type': 'LocalVisBackend'}]},
    )
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return {place: found['coco/bbox_mAP'] for place, found in validation_curve(folder).items()}


def test_mmengine_logs_the_score_of_the_validation_before(tmp_path):
    """Why the hook is there; if this fails, it is needed no more."""
    assert trained(tmp_path / 'run', 0.5, None) == {1: 50.0, 2: 50.0}


def test_with_the_hook_each_validation_has_its_own(tmp_path):
    assert trained(tmp_path / 'run', 0.5, None, 0.25, hooks=[ForgetScoresHook()]) == {1: 50.0, 3: 25.0}
    assert unscored_validation(tmp_path / 'run') is None
    assert trained(tmp_path / 'other', 0.5, None, hooks=[ForgetScoresHook()]) == {1: 50.0}
    assert unscored_validation(tmp_path / 'other') == 2


@pytest.mark.slow
def test_a_training_that_finds_nothing_at_its_end_has_no_score(tiny_set, tmp_path):
    """Its last score is not that of an epoch in which it found something."""
    cfg = tiny_student_cfg(tiny_set, tmp_path / 'run', **{'train_cfg.max_epochs': 2})
    cfg.custom_imports = {'imports': ['helpers.kill_hook'], 'allow_failed_imports': False}
    cfg.custom_hooks = [{'type': 'FindNothingHook', 'epoch': 2}]
    cfg.dump(tmp_path / 'student.py')
    call_tool('tools/train.py', tmp_path / 'student.py')
    assert list(validation_curve(tmp_path / 'run')) == [1]
    training = Training('student', Recipe(str(tmp_path / 'student.py')), tmp_path / 'run', 0)
    with pytest.raises(DistillationError, match='the last validation of student, seed 0, at 2, says no score'):
        training.reached()
