"""A training of a comparison: how far it is, what it has reached, and its start."""

import math
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import DistillationError
from ..runtime.checkpoints import latest_checkpoint, read_checkpoint
from ..runtime.results import read_json, trained_steps, unscored_validation, validation_curve, write_json
from .recipe import Recipe, preferred_score
from .stages import Lock, running

#: What a work dir holds: no step of any training; a training that did not end; one that did; or something else than it.
State = Literal['new', 'begun', 'finished', 'another']


@dataclass(frozen=True)
class Training:
    """A recipe with a seed, and the work dir in which it is trained.

    Args:
        title: how tables call it, without the seed.
        recipe: what it trains.
        work_dir: where its logs and checkpoints lie.
        seed: of weights, order and augmentation. None: the config's.
        mark: name of the file in the work dir that says which training this is, and whether it ended.
    """

    title: str
    recipe: Recipe
    work_dir: Path
    seed: int | None = None
    mark: str = 'training.json'

    def __str__(self) -> str:
        return self.title if self.seed is None else f'{self.title}, seed {self.seed}'

    @property
    def state(self) -> State:
        """What its work dir holds."""
        if not self.work_dir.is_dir() or not any(self.work_dir.iterdir()):
            return 'new'
        mark = read_json(self.work_dir / self.mark)
        if mark.get('fingerprint') == self.recipe.fingerprint and mark.get('seed', self.seed) == self.seed:
            return 'finished' if mark.get('finished') else 'begun'
        return 'another' if not mark or self._has_steps() else 'new'  # the start of another may have failed there

    def _has_steps(self) -> bool:
        """Whether anything was trained in the work dir."""
        return any(self.work_dir.glob('*.pth')) or any(self.work_dir.glob('*/vis_data/scalars.json'))

    def note(self, finished: bool) -> None:
        """Write down in the work dir which training this is, and whether it ended."""
        content = dict(fingerprint=self.recipe.fingerprint, seed=self.seed, finished=finished)
        write_json(self.work_dir / self.mark, content)

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint.

        Raises:
            DistillationError: there is none, or none that opens.
        """
        path = latest_checkpoint(self.work_dir)
        if path is None:
            raise DistillationError(
                [f'there is no checkpoint in {self.work_dir}: remove this folder to train it again']
            )
        return path

    @property
    def share(self) -> float:
        """How much of it is done, between 0 and 1, as its last checkpoint says."""
        path = latest_checkpoint(self.work_dir) if self.work_dir.is_dir() else None
        if path is None:
            return 0.0
        meta, length = read_checkpoint(path, map_location='meta')['meta'], self.recipe.read().train_cfg
        if length.get('max_iters'):
            return min(meta['iter'] / length.max_iters, 1.0)
        return min(meta['epoch'] / length.max_epochs, 1.0) if length.get('max_epochs') else 0.0

    def command(self, tools: Path) -> list[str]:
        """What trains it, or goes on with it.

        Args:
            tools: the folder of this package's tools: `tools/` of a checkout, or where mim has installed them.
        """
        options = dict(self.recipe.options)
        if self.seed is not None:
            options['randomness.seed'] = self.seed
        given = ['--work-dir', str(self.work_dir), '--resume', *self.recipe.flags]
        given += ['--cfg-options', *(f'{key}={value}' for key, value in options.items())] if options else []
        if self.recipe.ranks == 1:
            return [sys.executable, str(tools / 'train.py'), self.recipe.config, *given]
        return ['bash', str(tools / 'dist_train.sh'), self.recipe.config, str(self.recipe.ranks), *given]

    def reached(self) -> dict[str, Any]:
        """What it has reached: the scores at its end and after each validation, and the number of its steps.

        Raises:
            DistillationError: nothing is logged of it, or no score of its last validation, or that is no number.
        """
        curve = validation_curve(self.work_dir, preferred_score(self.recipe.read()))
        if not curve:
            raise DistillationError(
                [
                    f'{self.work_dir} holds no score, though {self} ended: there was no validation, or the detector '
                    "found nothing in it, for which mmdet gives none. Train longer or lower score_thr in the model's "
                    'test_cfg, and remove this folder to train it again'
                ]
            )
        silent = unscored_validation(self.work_dir)
        if silent is not None:
            raise DistillationError(
                [
                    f'the last validation of {self}, at {silent}, says no score: the detector found nothing in it, for '
                    "which mmdet gives none. Train otherwise or lower score_thr in the model's test_cfg, and remove "
                    f'{self.work_dir} to train it again'
                ]
            )
        scores = curve[max(curve)]
        (name, score), *_ = scores.items()
        if math.isnan(score):
            raise DistillationError(
                [
                    f'the last validation of {self} says that {name} is nan: no object in its pictures counts for it. '
                    'Name another score in save_best of default_hooks.checkpoint, or validate on more pictures'
                ]
            )
        return dict(scores=scores, curve=curve, steps=trained_steps(self.work_dir))


def train(
    training: Training,
    tools: Path,
    follow: Callable[[Training, Iterator[str]], None],
    lock: Lock | None = None,
) -> None:
    """Train, or go on where it was interrupted, or find it done.

    Args:
        training: to be trained.
        tools: see :meth:`Training.command`.
        follow: is given the lines that the training says, as they come.
        lock: of the folder in which the trainings lie.

    Raises:
        DistillationError: the work dir holds something else, or the training failed.
    """
    state = training.state
    if state == 'another':
        raise DistillationError([refusal(training)])
    if state == 'finished':
        return
    training.work_dir.mkdir(parents=True, exist_ok=True)
    training.note(finished=False)
    with running(str(training), training.command(tools), training.work_dir / 'console.log', lock) as lines:
        follow(training, lines)
    training.note(finished=True)


def refusal(training: Training) -> str:
    """Why a work dir that holds something else is left alone."""
    if not read_json(training.work_dir / training.mark):
        return f'{training.work_dir} holds what no comparison has left there: move it away, or choose another folder'
    return (
        f'{training.work_dir} was trained with another config, other weights, other annotations or other options: '
        'move it away, or choose another folder'
    )


def clear(training: Training) -> None:
    """Remove a work dir that holds something else, so that the training begins anew."""
    if training.state == 'another':
        shutil.rmtree(training.work_dir)
