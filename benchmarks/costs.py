"""What distillation costs a step: seconds, the tax, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from meter import Work, median, peak_bytes
from mmengine.config import Config
from scipy.stats import bootstrap
from steps import Batch, PlainTeacher, build_distilled, state_bytes, step_of, student_step
from torch import nn

#: Name -> options of a teacher.
AS_IT_COMES: dict[str, dict] = {'as it comes': {}}
#: Kinds of work.
STUDENT, PLAIN = 'student', 'plain teacher'


def distilled_by(teacher: str) -> str:
    """The kind of work that a step with such a teacher is."""
    return f'distilled, teacher {teacher}'


def works_of(
    cfg: Config, batch: Batch, teachers: Mapping[str, dict] = AS_IT_COMES, weights: Path | None = None
) -> dict[str, Work]:
    """The kinds of work that a tax compares, to be done in turns.

    Args:
        cfg: a distillation with one teacher, a detector.
        batch: as its data loader gives it.
        teachers: name -> options of the teacher, each of which makes a kind of distilled step.
        weights: a checkpoint of it; None: its weights are untrained.
    """
    models = {name: build_distilled(cfg, weights, **options) for name, options in teachers.items()}
    steps = {name: step_of(model, cfg, batch) for name, model in models.items()}
    first = next(iter(models))
    return {
        STUDENT: student_step(cfg, batch, weights),
        PLAIN: PlainTeacher(models[first], steps[first]).pass_over(batch),
        **{distilled_by(name): step for name, step in steps.items()},
    }


def costs_of(found: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Seconds of each kind of work, with their quartiles; and the tax with each teacher.

    Args:
        found: kind of work, of :func:`works_of` -> its seconds, turn by turn.
    """
    seconds = {f'{name}, s': median(values) for name, values in found.items()}
    taxes = {
        name.replace('distilled', 'tax'): tax(values, found[STUDENT], found[PLAIN])
        for name, values in found.items()
        if name not in (STUDENT, PLAIN)
    }
    return seconds | taxes


def tax(distilled: Sequence[float], student: Sequence[float], plain: Sequence[float]) -> dict[str, float]:
    """What a distilled step takes beyond the student's own, in plain passes of its teacher.

    Of medians over the turns; 'low' and 'high' bound its 95 % confidence interval, from a bootstrap over the turns.
    """

    def of_medians(*each: np.ndarray, axis: int = -1) -> np.ndarray:
        taught, alone, teacher = (np.median(values, axis=axis) for values in each)
        return (taught - alone) / teacher

    turns = tuple(np.asarray(values) for values in (distilled, student, plain))
    interval = bootstrap(turns, of_medians, paired=True, method='percentile', rng=0).confidence_interval
    value, low, high = (round(float(number), 3) for number in (of_medians(*turns), *interval))
    return dict(value=value, low=low, high=high)


def memory_of(cfg: Config, batch: Batch) -> dict[str, float]:
    """Peak memory of a distilled step beyond the student's own, in MiB, and its share of what a plain teacher holds.

    That is its weights, and what is alive at the peak of a forward pass.
    """
    model = build_distilled(cfg)
    step = step_of(model, cfg, batch)
    return memory_beyond(model, step, student_step(cfg, batch), PlainTeacher(model, step), batch)


def memory_beyond(
    model: nn.Module, distilled: Work, student: Work, plain: PlainTeacher, batch: Batch
) -> dict[str, float]:
    """The same of steps that are built already.

    Args:
        model: a distillation with one teacher, a detector.
        distilled: its step.
        student: the step of its student alone.
        plain: its teacher, as it is in mmdet.
        batch: of these steps.
    """
    adapters = state_bytes(model.distillers)
    held = state_bytes(model.teacher.detector) + 2 * adapters  # which have momentum too
    alone = peak_bytes(student)
    extra = held + peak_bytes(distilled) - alone
    of_plain = plain.weight_bytes + peak_bytes(plain.pass_over(batch))
    mib = 2**20
    return {
        'peak of the student, MiB': round(alone / mib, 1),
        'beyond it, MiB': round(extra / mib, 1),
        'of weights and a pass': round(extra / of_plain, 3),
    }
