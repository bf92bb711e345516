"""A validation that was interrupted is made up when the training is resumed."""

import json
from bisect import bisect
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from ..files import written_whole
from .training_classes_hook import built_loops


class ValidationResumeHook(Hook):
    """Before a resumed training goes on, runs the validation that was due at its checkpoint and did not end.

    mmengine saves before it validates, and goes on with the next epoch: a run that is killed in its last validation
    would never have a final score. What was validated last is noted in ``last_validation`` in the work dir, since the
    checkpoint is older than that.
    """

    # After the hook that saves checkpoints, which has to be ready for the best one.
    priority = 'LOWEST'

    def before_train(self, runner: Runner) -> None:
        """Validate, if it is due."""
        loop, validation = runner.train_loop, built_loops(runner).get('val')
        if loop.iter == 0:
            if is_main_process():
                _note(runner).unlink(missing_ok=True)
        elif validation is not None and _is_due(loop):
            ended = [_noted(_note(runner))]
            broadcast_object_list(ended)  # other ranks may not see the work dir
            if ended[0] < _position(loop):
                runner.logger.info('The validation of this checkpoint did not end, so it is made up.')
                validation.run()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Note that this validation ended."""
        if 'train' in built_loops(runner) and is_main_process():
            with written_whole(_note(runner)) as draft:
                draft.write_text(json.dumps(_position(runner.train_loop)))


def _note(runner: Runner) -> Path:
    return Path(runner.work_dir) / 'last_validation'


def _noted(note: Path) -> int:
    """The position of the last validation that ended; 0 if none is noted."""
    text = note.read_text() if note.is_file() else ''
    return int(text) if text.strip().isdecimal() else 0


def _position(loop: BaseLoop) -> int:
    """How far a training is, in what its validations are counted in: epochs or iterations."""
    return loop.epoch if isinstance(loop, EpochBasedTrainLoop) else loop.iter


def _is_due(loop: BaseLoop) -> bool:
    """Whether the loop validates where it stands. A loop of another sort validates when it likes."""
    if not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return False
    position = _position(loop)
    end = loop.max_epochs if isinstance(loop, EpochBasedTrainLoop) else loop.max_iters
    # mmengine asks for the interval of the position after the one that it has come to.
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, position + 1) - 1]
    return position >= loop.val_begin and (position % interval == 0 or position == end)
