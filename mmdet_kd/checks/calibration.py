"""Weights at which each distiller would pull a student as hard as asked."""

import math

from torch import nn

from ..distillers import BaseDistiller
from .gradients import Steps

#: What tools/check.py --calibrate aims at: the gradient of a distiller at the compared maps, as a multiple of that of
#: the student's own losses. It is a round number and not yet supported by measurements: no relation between this
#: multiple and the AP that a student reaches was found that holds for all methods. benchmarks/gradient_shares.py
#: measures the multiples of the rows of a table, beside whose APs they can be laid.
TIMES_OWN = 1.0


def suggest_weights(model: nn.Module, steps: Steps, times_own: float = TIMES_OWN) -> list[str]:
    """For each distiller the line that gives it the weight at which its gradient is so many times the student's own.

    A gradient is proportional to the weight of its loss, so that one measurement is enough for all weights. All losses
    of a distiller are multiplied by the same factor.

    Args:
        model: the distilled detector that took the steps.
        steps: at least one.
        times_own: the multiple that is wanted, > 0.

    Returns:
        A line each, to be given to --cfg-options.
    """
    return [_suggest(name, distiller, steps, times_own) for name, distiller in model.distillers.items()]


def _suggest(name: str, distiller: BaseDistiller, steps: Steps, times_own: float) -> str:
    measured = steps.gradient_times_own(name)
    weights = {path: weight for part in distiller.parts for path, weight in _weight_of(distiller, part).items()}
    if not 0 < measured < math.inf or not weights:
        return f'# distillers.{name}: its gradient was {measured:g} times the own one, which no weight changes'
    return ' '.join(
        f'model.distillers.{name}.{path}={weight * times_own / measured:.3g}' for path, weight in weights.items()
    )


def _weight_of(distiller: BaseDistiller, part: str) -> dict[str, float]:
    """Where the config of a distiller has the weight of one of its losses, and the present weight; empty if nowhere."""
    for name in (f'loss_{part}', 'loss'):
        loss = getattr(distiller, name, None)
        first = loss[0] if isinstance(loss, nn.ModuleList) else loss
        if hasattr(first, 'loss_weight'):
            return {f'{name}.loss_weight': first.loss_weight}
    weight = getattr(distiller, f'{part}_weight', None)
    return {} if weight is None else {f'{part}_weight': weight}
