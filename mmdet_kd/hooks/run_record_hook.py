"""A resumed run is the same run, or says what has changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from ..detectors import KnowledgeDistillationMixin
from ..detectors.teachers_by_name import ALONE
from ..errors import DistillationError, raise_if_any
from ..runtime.mmengine_loader import require_resumable
from ..runtime.resumed_state import follow_config, optimizer_problems, replay_to_position, weight_problems
from ..runtime.run_changes import changes, is_same_file, schedules_differ
from ..runtime.run_record import KEY, distilled_parts, find_record, record_run
from ..teachers.record import read_digest, record_teacher

_LISTED = 20
_INSTEAD = "start a new training from its weights instead: without --resume, with load_from='...' in the config"


class RunRecordHook(Hook):
    """Keeps in each checkpoint what the run rests on, and compares it when a run is resumed.

    Where the settings of the optimizer or of the schedules have changed and that is accepted, the optimizer keeps its
    state, takes its settings from the config, and the schedules stand where a run with these settings would be.

    Args:
        cfg: of the run; its data files exist.
        ranks: number of processes that train together.
        accept_changes: whether a resumed run may differ from the one that saved the checkpoint; the log says how.

    Raises:
        DistillationError: a teacher has no config.
    """

    # Before the hooks that take their own part of a loaded checkpoint.
    priority = 'VERY_HIGH'

    def __init__(self, cfg: Config, ranks: int = 1, accept_changes: bool = False) -> None:
        self.record = record_run(cfg, ranks, record_teacher)
        self.accept_changes = accept_changes
        self._sources = _teachers(cfg.get('model'))
        self._length = cfg.get('train_cfg') or {}
        self._old_run: Mapping[str, Any] = {}
        self._follows_config = False

    def compare(self, checkpoint: Mapping[str, Any], source: str | Path) -> None:
        """Compare this run with the one that saved a checkpoint, before anything of it is built.

        Args:
            checkpoint: its weights may be on the meta device.
            source: its path, for the error.

        Raises:
            DistillationError: something has changed and is not accepted, or cannot be changed in a run that has begun;
                or the training ends before the checkpoint.
        """
        for key, end in (('epoch', 'max_epochs'), ('iter', 'max_iters')):
            position, length = checkpoint['meta'][key], self._length.get(end)
            if isinstance(length, int) and position > length:
                raise DistillationError(
                    [
                        f'there is nothing to train: the checkpoint {source} is of {key} {position}, and the training '
                        f'ends at {end}={length}. Raise {end}, or name an earlier checkpoint'
                    ]
                )
        old = find_record(checkpoint)
        if old is None:
            return
        self._settle_teachers(old)
        found = changes(old, self.record)
        if any(change.why_not for change in found):
            lines = [f'{change.said}{f": {change.why_not}" if change.why_not else ""}' for change in found]
            raise DistillationError(
                [
                    f'the checkpoint {source} is of a run that rests on something else, and not all of it can change '
                    f'in a run that has begun. Changed since:{_listed(lines)}\nRestore that, or {_INSTEAD}'
                ]
            )
        if found and not self.accept_changes:
            raise DistillationError(
                [
                    f'the checkpoint {source} is of a run that rests on something else. Changed since:'
                    f'{_listed([change.said for change in found])}\nRestore that, or accept it with --resume-changed'
                ]
            )

    def check_weights(self, model: nn.Module, checkpoint: Mapping[str, Any], source: str | Path) -> None:
        """Check that a checkpoint has exactly the weights of the model.

        Raises:
            DistillationError: some are missing, of another shape, or of no part of the model.
        """
        model = model.module if is_model_wrapper(model) else model
        self._refuse(weight_problems(model.state_dict(), checkpoint), source)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare what is resumed with what was built and loaded, before the optimizer takes its part."""
        if not runner.cfg.get('resume'):
            return
        source, old = runner.cfg.get('load_from'), find_record(checkpoint)
        require_resumable(checkpoint, source)
        self.check_weights(runner.model, checkpoint, source)
        self._note_teachers(runner.model)
        self.compare(checkpoint, source)
        self._old_run = {} if old is None else old['run']
        self._follows_config = self._has_to_follow(runner, old)
        needed = {**checkpoint, 'param_schedulers': None} if self._follows_config else checkpoint
        problems = optimizer_problems(runner, needed, self._old_run.get('states'))
        if self._follows_config and any(
            getattr(each, 'need_val_args', False) for each in runner.param_schedulers or ()
        ):
            problems.append('its schedules depend on validations that are past, so they cannot be changed')
        self._refuse(problems, source)
        if self._follows_config:
            follow_config(runner, checkpoint)
        self._log(runner, old)

    def _has_to_follow(self, runner: Runner, old: dict[str, Any] | None) -> bool:
        """Whether the config says of the optimizer and the schedules something else than the checkpoint."""
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return False
        if old is None:
            return self.accept_changes
        is_other_length = old['run'].get('epoch_length') != _epoch_length(runner)
        return schedules_differ(old, self.record) or (self.accept_changes and is_other_length)

    def before_train(self, runner: Runner) -> None:
        """Bring the schedules to their place if they follow the config, and complete the record."""
        if self._follows_config and runner.iter < runner.max_iters:
            replay_to_position(runner, self._old_run.get('epoch_length'))
            rate = runner.optim_wrapper.get_lr()['lr'][0]
            runner.logger.warning(f'The optimizer and its schedules follow the config: the learning rate is {rate:g}.')
        self._note_teachers(runner.model)
        randomness = runner.cfg.get('randomness') or {}
        seed = runner.seed - (runner.rank if randomness.get('diff_rank_seed') else 0)
        self.record['settings']['randomness']['seed'] = seed
        self.record['run']['epoch_length'] = _epoch_length(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the record into the checkpoint."""
        state = checkpoint.get('optimizer', {}).get('state')
        run = {**self.record['run'], 'states': None if state is None else len(state)}
        checkpoint['meta'][KEY] = {**self.record, 'run': run}

    def _settle_teachers(self, old: Mapping[str, Any]) -> None:
        """Read the weights of those teachers of whose files it is not clear whether these are the same."""
        before = _files(old)
        for name, file in _files(self.record).items():
            was = before.get(name, {})
            if file.get('archive') and was.get('digest') and is_same_file(was, file) is None:
                file['digest'] = read_digest(self._sources[name])

    def _note_teachers(self, model: nn.Module) -> None:
        """Take the digests of the teachers that are loaded."""
        files = _files(self.record)
        for detector in model.modules():
            for name, teacher in detector.teachers.items() if isinstance(detector, KnowledgeDistillationMixin) else ():
                files[name]['digest'] = teacher.digest

    def _refuse(self, problems: list[str], source: str | Path) -> None:
        raise_if_any(
            [
                f'no training can go on from the checkpoint {source}: {problem}. Name one of this config, or {_INSTEAD}'
                for problem in problems
            ]
        )

    def _log(self, runner: Runner, old: dict[str, Any] | None) -> None:
        if old is None:
            takes = 'config' if self._follows_config else 'checkpoint (--resume-changed takes those of the config)'
            runner.logger.warning(
                'The checkpoint has no record of its run: whether teachers, distillers, data and batch size are the '
                f'same is not known. The settings of the optimizer are those of the {takes}.'
            )
            return
        found = [change.said for change in changes(old, self.record)]
        if found:
            runner.logger.warning(f'Resumed with changes:{_listed(found)}')
        ranks = [record['run'].get('ranks') for record in (old, self.record)]
        if ranks[0] != ranks[1]:
            runner.logger.warning(
                f'Resumed on {ranks[1]} ranks, from {ranks[0]!a}: an iteration sees as many pictures as before, but '
                'drawn and augmented otherwise, so the run does not continue to the bit.'
            )
        if old['versions'] != self.record['versions']:
            runner.logger.info(f'The checkpoint was saved by other versions: {str(old["versions"])[:300]!a}')


def _teachers(model: Any) -> dict[str, Any]:
    """The checkpoint of each teacher in a model's config, or in a record of it, by the name of the teacher."""
    found = {}
    for part in distilled_parts(model):
        named = part.get('teachers') or {ALONE: part.get('teacher')}
        for name, cfg in named.items() if isinstance(named, dict) else ():
            if isinstance(cfg, dict):
                found[name] = cfg.get('checkpoint')
    return found


def _files(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a record keeps of the file of each teacher."""
    named = _teachers(record['settings'].get('model'))
    return {name: file for name, file in named.items() if isinstance(file, dict)}


def _epoch_length(runner: Runner) -> int | None:
    loop = runner.train_loop
    return len(loop.dataloader) if isinstance(loop, EpochBasedTrainLoop) else None


def _listed(lines: list[str]) -> str:
    more = [f'and {len(lines) - _LISTED} more'] if len(lines) > _LISTED else []
    return ''.join(f'\n  {line}' for line in [*lines[:_LISTED], *more])
