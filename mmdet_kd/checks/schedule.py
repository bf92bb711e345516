"""Whether a training is long enough for the schedule of its learning rate."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.runner import Runner

from .verdict import Verdict

#: What mmengine's schedulers have as their end where they have none.
_NO_END = 10**9


class _Last(NamedTuple):
    """The last thing that a scheduler does: at which epoch or iteration, and whether it is done at its beginning."""

    at: int
    is_at_beginning: bool

    def is_reached_in(self, length: int) -> bool:
        return self.at < length if self.is_at_beginning else self.at <= length


def judge_schedule(runner: Runner) -> Iterator[Verdict]:
    """Compare the end of each scheduler with the end of the training.

    A warm-up that does not end leaves the learning rate too small, and a decay that never comes leaves it too large.
    Nothing is said of schedulers that have no end, such as an exponential one.

    Args:
        runner: of the training, its data sets built. Iterations are counted as this process would train them; several
            have fewer each.
    """
    loop = runner.train_loop
    for scheduler in _schedulers(runner.cfg.get('param_scheduler')):
        last = _last_of(scheduler)
        if last is None:
            continue
        unit, length = ('epoch', loop.max_epochs) if scheduler.get('by_epoch', True) else ('iteration', loop.max_iters)
        name = scheduler['type'] if isinstance(scheduler['type'], str) else scheduler['type'].__name__
        said = 'changes it last at' if last.is_at_beginning else 'ends at'
        cure = '' if last.is_reached_in(length) else f'the training ends first: train longer, or shorten this {name}'
        yield Verdict('the learning rate', f'{name} {said} {unit} {last.at} of {length}', cure)


def _schedulers(cfg: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of all schedulers: one, several, or several for each optimizer."""
    if isinstance(cfg, Mapping) and 'type' in cfg:
        yield cfg
    elif cfg:
        for part in cfg.values() if isinstance(cfg, Mapping) else cfg:
            yield from _schedulers(part)


def _last_of(scheduler: Mapping[str, Any]) -> _Last | None:
    """The last change that a scheduler makes, in its own unit; None where it goes on for ever."""
    begin, end = scheduler.get('begin', 0), scheduler.get('end', _NO_END)
    if scheduler.get('milestones'):
        return _Last(max(scheduler['milestones']), is_at_beginning=True)
    if scheduler.get('step_size'):
        return _Last(begin + scheduler['step_size'], is_at_beginning=True)
    if scheduler.get('T_max'):
        return _Last(begin + scheduler['T_max'], is_at_beginning=False)
    return _Last(end, is_at_beginning=False) if end < _NO_END else None
