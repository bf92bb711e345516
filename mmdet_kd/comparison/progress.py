"""How trainings go: what the lines of tools/train.py say, and how much time is left, of one training and of all."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..runtime.results import table_scores
from .recipe import preferred_score
from .training import Training

_TRAIN = re.compile(r'(?:Epoch\(train\)\s+\[(?P<epoch>\d+)\]|Iter\(train\)\s+)\[\s*(?P<step>\d+)/(?P<steps>\d+)\]')
_EVALUATED = re.compile(r'(?:Epoch|Iter)\((?:val|test)\) .*?\[(\d+)/\1\]\s+(?P<items>\S.*)')
_ETA = re.compile(r'\seta: (?:(\d+) days?, )?(\d+):(\d\d):(\d\d)\s')
_LOSS = re.compile(r'\sloss: (\S+)')
_ITEM = re.compile(r'(\S+): (-?[\d.]+(?:e[+-]?\d+)?|nan|-?inf)(?=\s|$)')
_TIMES = ('time', 'data_time', 'eta', 'memory')


class Step(NamedTuple):
    """A step of a training, as a line of its log has it.

    Args:
        place: in words: `epoch 3 of 8`.
        share: of the training that is done, between 0 and 1; None if the config does not say how long it is.
        loss: the sum that is minimised.
        left: seconds that are left, as mmengine says.
    """

    place: str
    share: float | None
    loss: float | None
    left: float | None


def read_step(line: str, length: Mapping[str, Any]) -> Step | None:
    """What a line of a training's log says of a step; None if it is about something else.

    Args:
        line: of the log, of a training by epochs or by iterations.
        length: ``train_cfg`` of the config, which has ``max_epochs`` or ``max_iters``.
    """
    found = _TRAIN.search(line)
    if found is None:
        return None
    step, steps = int(found['step']), int(found['steps'])
    epoch, epochs = int(found['epoch'] or 1), length.get('max_epochs')
    done = (epoch - 1) * steps + step
    if found['epoch'] and epochs:
        place, total = f'epoch {epoch} of {epochs}', epochs * steps
    else:
        total = length.get('max_iters') or (None if found['epoch'] else steps)
        place = f'step {done} of {total}' if total else f'step {done}'
    eta, loss = _ETA.search(line), _LOSS.search(line)
    left = None
    if eta:
        days, hours, minutes, seconds = (int(part or 0) for part in eta.groups())
        left = float(((24 * days + hours) * 60 + minutes) * 60 + seconds)
    return Step(place, done / total if total else None, float(loss[1]) if loss else None, left)


def read_scores(line: str) -> dict[str, float]:
    """The scores that a validation or a test says at its end, under their names in the log; of another line, none."""
    found = _EVALUATED.search(line)
    items = {name: float(value) for name, value in _ITEM.findall(found['items'])} if found else {}
    return {name: value for name, value in items.items() if name not in _TIMES}


class Pace:
    """How fast a training goes, by the clock, so that its validations count.

    Args:
        clock: seconds from whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def left(self, step: Step) -> float | None:
        """Seconds that are left after a step; None if that cannot be said.

        What mmengine says, at the first step that is seen; then what the steps since have taken.
        """
        if step.share is None:
            return step.left
        if self._first is None:
            self._first = (step.share, self._clock())
        share, when = self._first
        return (self._clock() - when) * (1 - step.share) / (step.share - share) if step.share > share else step.left


def left_of_all(running: float, paces: Mapping[str, float], waiting: Sequence[tuple[str, float]]) -> tuple[float, bool]:
    """How long several trainings take to their end.

    Args:
        running: seconds that are left of the one at hand.
        paces: title -> seconds that a whole training takes; at least one.
        waiting: (title, share still to be trained) of each that comes after it.

    Returns:
        Seconds; and whether that is all: those whose pace is not known yet are taken for as slow as the slowest known,
        and a student with a teacher is slower than alone.
    """
    slowest = max(paces.values())
    seconds = running + sum(share * paces.get(title, slowest) for title, share in waiting)
    return seconds, all(title in paces for title, _ in waiting)


def in_words(seconds: float) -> str:
    """A duration, such as `1:02:03`."""
    return str(timedelta(seconds=round(seconds)))


class Watch:
    """Shows how trainings go, one after the other: a bar in a terminal, and a line a validation.

    Args:
        console: to print to.
        trainings: all that are to be trained, in their order.
        clock: seconds from whenever.
    """

    def __init__(
        self, console: Console, trainings: Sequence[Training], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._clock = clock
        self._total = len(trainings)
        self._waiting = [(each, 1 - each.share if each.state == 'begun' else 1.0) for each in trainings]
        self._paces: dict[str, float] = {}

    def follow(self, training: Training, lines: Iterator[str]) -> None:
        """Show one training, to its end.

        Args:
            training: which of them.
            lines: what it says, as it comes.
        """
        self._waiting = [(each, share) for each, share in self._waiting if each != training]
        cfg, pace, said, left = training.recipe.read(), Pace(self._clock), str(training), ''
        preferred = preferred_score(cfg)
        with bar(self._console, said) as progress:
            for line in lines:
                if (step := read_step(line, cfg.train_cfg)) is not None:
                    loss = '' if step.loss is None else f', loss {step.loss:.2f}'
                    said, left = f'{training}: {step.place}{loss}', self._left(training, step, pace.left(step))
                    progress.update(TaskID(0), completed=step.share, description=escape(said + left))
                elif scores := read_scores(line):
                    name, score = next(iter(table_scores(scores, preferred).items()))
                    progress.console.print(f'  {said}, {name} {score:.4g}{left}', markup=False)

    def _left(self, training: Training, step: Step, left: float | None) -> str:
        """What is left, in words; nothing where it is not known."""
        if left is None:
            return ''
        own = f', {in_words(left)} left'
        if step.share is not None and step.share < 1:
            self._paces[training.title] = left / (1 - step.share)
        if not self._waiting or not self._paces:
            return own
        seconds, is_all = left_of_all(left, self._paces, [(each.title, share) for each, share in self._waiting])
        return f'{own}; all {self._total} trainings: {"about" if is_all else "at least"} {in_words(seconds)}'


def bar(console: Console, title: str, total: float | None = 1.0) -> Progress:
    """A progress bar with one task; invisible where there is no terminal.

    Args:
        console: to print to.
        title: what goes on.
        total: of what is done at the end; None if that is not known.
    """
    columns = [TextColumn('  {task.description}'), BarColumn(), TimeElapsedColumn()]
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    progress.add_task(escape(title), total=total)
    return progress
