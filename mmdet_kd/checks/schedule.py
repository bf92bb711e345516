"""Whether a training is as long as the schedules of its learning rate."""

import math
from collections.abc import Iterator, Mapping
from functools import singledispatch
from typing import Any

from mmdet.engine.schedulers import QuadraticWarmupParamScheduler
from mmengine.optim.scheduler import (
    ConstantParamScheduler,
    CosineAnnealingParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
    PolyParamScheduler,
    StepParamScheduler,
)
from mmengine.runner import EpochBasedTrainLoop, Runner

from .verdict import Verdict

#: Share of its way that a cosine must go. At 0.9 its rate is 2 % of the first one; YOLOX's is cut off at 0.98.
_NEARLY_ALL = 0.9
#: Share of the training that a warm-up may take.
_MOST_WARM_UP = 0.5


def judge_schedule(runner: Runner, ranks: int = 1) -> Iterator[Verdict]:
    """Look at each scheduler: whether its changes come while the training lasts, and while it lasts itself.

    Those that end nowhere, as an exponential one, and classes that are not known here are passed over.

    Args:
        runner: of the training, its data sets and its optimizer built.
        ranks: processes that will train together, each for so much fewer iterations, > 0.
    """
    for cfg in _configs(runner.cfg.get('param_scheduler')):
        scheduler = _built(runner, cfg)
        length = _length(runner, scheduler, 1 if cfg.get('convert_to_iter_based') else ranks)
        seen = _look_at(scheduler, length)
        if seen is not None:
            found, cure = seen
            unit = 'epochs' if scheduler.by_epoch else 'iterations'
            yield Verdict('param_scheduler', f'{type(scheduler).__name__} {found}, of {length} {unit}', cure)


def _configs(cfg: Any) -> Iterator[Mapping[str, Any]]:
    """Those of all schedulers: one, several, or several for each optimizer."""
    if isinstance(cfg, Mapping) and 'type' in cfg:
        yield cfg
    elif cfg:
        for part in cfg.values() if isinstance(cfg, Mapping) else cfg:
            yield from _configs(part)


def _built(runner: Runner, cfg: Mapping[str, Any]) -> Any:
    """A scheduler as the training builds it, with the end that it gets where it says none."""
    built = runner.build_param_scheduler(cfg)
    return (next(iter(built.values())) if isinstance(built, dict) else built)[0]


def _length(runner: Runner, scheduler: Any, ranks: int) -> int:
    """Of the training, in the unit of a scheduler."""
    loop = runner.train_loop
    if scheduler.by_epoch:
        return loop.max_epochs
    if isinstance(loop, EpochBasedTrainLoop):
        return loop.max_epochs * math.ceil(len(loop.dataloader) / ranks)
    return loop.max_iters


@singledispatch
def _look_at(scheduler: Any, length: int) -> tuple[str, str] | None:
    """What a scheduler does in a training of so many epochs or iterations, and the cure; None if it is not known."""
    del scheduler, length


@_look_at.register
def _(scheduler: MultiStepParamScheduler, length: int) -> tuple[str, str]:
    places = [scheduler.begin + place for place in sorted(scheduler.milestones.elements())]
    missed = [place for place in places if place >= min(scheduler.end, length)]
    found = f'changes at {", ".join(map(str, places))}'
    return found, f'it never comes to {missed[0]}: {_cure(scheduler, "milestones", length)}' if missed else ''


@_look_at.register
def _(scheduler: StepParamScheduler, length: int) -> tuple[str, str]:
    first = scheduler.begin + scheduler.step_size
    is_missed = first >= min(scheduler.end, length)
    found = f'changes first at {first}'
    return found, f'it never comes there: {_cure(scheduler, "step_size", length)}' if is_missed else ''


@_look_at.register
def _(scheduler: CosineAnnealingParamScheduler, length: int) -> tuple[str, str]:
    share = (min(scheduler.end, length) - scheduler.begin) / scheduler.T_max
    found = f'goes {100 * min(share, 1):.0f} % of its way'
    if share > 1 / _NEARLY_ALL:
        return f'{found} and comes back', f'write end={scheduler.begin + scheduler.T_max}'
    return found, f'it is cut off: {_cure(scheduler, "T_max", length)}' if share < _NEARLY_ALL else ''


@_look_at.register
def _(scheduler: LinearParamScheduler, length: int) -> tuple[str, str] | None:
    return _to_the_end(scheduler, scheduler.start_factor, scheduler.end_factor, length)


@_look_at.register
def _(scheduler: ConstantParamScheduler, length: int) -> tuple[str, str] | None:
    return _to_the_end(scheduler, scheduler.factor, 1.0, length)


@_look_at.register
def _(scheduler: PolyParamScheduler, length: int) -> tuple[str, str] | None:
    return _to_the_end(scheduler, 1.0, 0.0, length)


@_look_at.register
def _(scheduler: QuadraticWarmupParamScheduler, length: int) -> tuple[str, str] | None:
    return _to_the_end(scheduler, 0.0, 1.0, length)


def _to_the_end(scheduler: Any, first: float, last: float, length: int) -> tuple[str, str] | None:
    """Of one that brings a factor from its first to its last value by its end."""
    if first == last:
        return None
    problem = ''
    if scheduler.end > length:
        problem = 'it never comes to its end'
    elif first < last and scheduler.end > _MOST_WARM_UP * length:
        problem = 'it is most of the training'
    return f'ends at {scheduler.end}', f'{problem}: {_cure(scheduler, "end", length)}' if problem else ''


def _cure(scheduler: Any, key: str, length: int) -> str:
    other = 'its end larger' if scheduler.end < length and key != 'end' else 'the training longer'
    return f'make its {key} smaller, or {other}'
