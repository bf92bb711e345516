"""What each loss of a step weighs at the maps that the student is compared at."""

import copy
import math
import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Any

import torch
from torch import Tensor, nn

from ..distillers import BaseDistiller, FeatureDistiller
from ..distillers.base import has_weight
from ..losses import CWDLoss, HintLoss, PKDLoss
from .verdict import Tell, Verdict, foretell

#: A loss of a distiller is too weak to be felt, or so strong that the labels are not, where it is so many times the
#: student's own losses: in value, or in gradient at the compared maps, whichever is less. Neither says enough alone:
#: the own gradient of a fresh RetinaNet is ten thousand times smaller than that of a CWD that is right, and a value may
#: have a constant part. Of trained pairs with the weights of the fragments, on 64 and 320 px, it is 0.002 to 35.
_WEAK, _STRONG = 1e-5, 300.0
_OWN = "the student's own losses"
#: Losses of the neck by which two-stage students gained most, on both sets of docs/loss_weights.md, where their
#: gradient was so many times that of the student's own losses.
_OF_MAPS, _GAINED_MOST = (CWDLoss, HintLoss, PKDLoss), (50.0, 500.0)
#: Share of the gradient from which on a reader of a loss that passes takes it for too strong.
_ALARMING = 0.5
_NO_FAULT = ', which need not be wrong: with 99 % of it methods have gained AP (docs/loss_weights.md)'
#: What is done for a batch takes as long as so many steps of the student alone: such a step, the taught one, and a way
#: back to the maps for each loss. Measured with the methods of configs/bccd: 3.4 to 3.9.
_TIMES_ALONE = 4.0


@dataclass
class Steps:
    """What a few training steps showed.

    Args:
        values: loss of a distiller, or the sum of the student's own -> its value in each step.
        gradients: the same -> norm of its gradient at the compared maps in each step.
        together: distiller -> the same norm, of all its losses together.
        objects: true boxes in all batches.
        seconds: of each step.
        seconds_alone: of each step without the distillers and the teachers.
        memory: most bytes in use, of the GPU or of this process.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    gradients: dict[str, list[float]] = field(default_factory=dict)
    together: dict[str, list[float]] = field(default_factory=dict)
    objects: int = 0
    seconds: list[float] = field(default_factory=list)
    seconds_alone: list[float] = field(default_factory=list)
    memory: int = 0

    def share(self, name: str) -> float:
        """Share of the sum of all norms, mean over the steps, in [0, 1]."""
        totals = [sum(norms) for norms in zip(*self.gradients.values(), strict=True)]
        return mean(norm / total if total else 0.0 for norm, total in zip(self.gradients[name], totals, strict=True))

    def times_own(self, name: str) -> float:
        """A loss as a multiple of the student's own: in value, or in gradient if that is less."""
        ratios = [(mean(by[name]), mean(by[_OWN])) for by in (self.values, self.gradients)]
        return min(loss / own if own else math.inf for loss, own in ratios)

    def gradient_times_own(self, distiller: str) -> float:
        """The gradient of a distiller at the compared maps, as a multiple of that of the student's own losses.

        It is proportional to the weight of the distiller's losses.
        """
        own = mean(self.gradients[_OWN])
        return mean(self.together[distiller]) / own if own else math.inf

    def describe(self) -> str:
        """What a step costs, and what of it the teachers and the distillers add."""
        taught, alone = _typical(self.seconds), _typical(self.seconds_alone)
        added = max(taught - alone, 0.0)
        return (
            f'{taught:.2f} s, of which the distillation takes {added:.2f} s ({100 * added / alone:.0f} % beyond the '
            f"student's own {alone:.2f} s); {self.memory / 2**20:.0f} MiB at most"
        )


def _typical(seconds: Sequence[float]) -> float:
    """Median of what steps took; the first one, which warms up, counts only if it is the only one."""
    return median(seconds[1:] or seconds)


def take_steps(model: nn.Module, batches: Iterable[dict[str, Any]], count: int, tell: Tell) -> Steps:
    """Forward and backward on some batches; no weight is changed.

    Args:
        model: a distilled detector in training mode, whose teachers are loaded.
        batches: from the loader of the training.
        count: of batches, about; for the time that is foretold.
        tell: is told how long the steps will take, if that is long.
    """
    steps = Steps()
    device = next(model.parameters()).device
    for batch in batches:
        with torch.random.fork_rng(devices=[device] if device.type == 'cuda' else []):
            steps.seconds_alone.append(_take_alone(model, copy.deepcopy(batch)))
        if not steps.seconds:
            foretell(tell, f'the steps, {count} of them,', count * _TIMES_ALONE * steps.seconds_alone[0])
        start = time.perf_counter()
        data = model.data_preprocessor(batch, True)
        with _compared_maps(model) as maps:
            losses = model(**data, mode='loss')
        sums = _sums(model, losses)
        for name, total in sums.items():  # reading them waits for the device
            steps.values.setdefault(name, []).append(total.item())
        forward = time.perf_counter() - start
        _weigh(sums, maps, steps)
        between = time.perf_counter()
        _go_back(model, sums)
        steps.seconds.append(forward + time.perf_counter() - between)
        steps.objects += sum(len(sample.gt_instances) for sample in data['data_samples'])
    if device.type == 'cuda':
        steps.memory = torch.cuda.max_memory_allocated(device)
    else:
        steps.memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return steps


def _take_alone(model: nn.Module, batch: dict[str, Any]) -> float:
    """Seconds of the step that the student would take without being taught; the weights of the distillers are 0."""
    weights = {distiller: distiller.weight for distiller in model.distillers.values()}
    try:
        for distiller in weights:
            distiller.weight = 0.0
        start = time.perf_counter()
        data = model.data_preprocessor(batch, True)
        sums = _sums(model, model(**data, mode='loss'))
        for total in sums.values():
            total.item()
        _go_back(model, sums)
        return time.perf_counter() - start
    finally:
        for distiller, weight in weights.items():
            distiller.weight = weight


def _go_back(model: nn.Module, sums: dict[str, Tensor]) -> None:
    """Backward through all losses; the gradients are thrown away."""
    sum(sums.values()).backward()
    model.zero_grad(set_to_none=True)
    device = next(model.parameters()).device
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def judge_losses(model: nn.Module, steps: Steps) -> list[Verdict]:
    """A verdict on each loss of each distiller: that it has a gradient, and one that counts beside the student's own.

    Args:
        model: the distilled detector that took the steps.
        steps: at least one.
    """
    verdicts = []
    for name, distiller in model.distillers.items():
        for part in distiller.parts:
            loss = f'{name}.loss_{part}'
            cure, share = _cure(steps, loss, distiller, part), steps.share(loss)
            found = f'{mean(steps.values[loss]):.3g}, {_percent(share)}'
            if not cure:
                found += _advice(model, steps, name, distiller) or (_NO_FAULT if share > _ALARMING else '')
            verdicts.append(Verdict(f'distillers.{loss}', found, cure))
    return [*verdicts, Verdict(_OWN, _percent(steps.share(_OWN)))]


def _percent(share: float) -> str:
    return f'{100 * share:.3g} % of the gradient at the compared maps'


def _advice(model: nn.Module, steps: Steps, name: str, distiller: BaseDistiller) -> str:
    """The weights with which a loss of the neck would pull as hard as was best elsewhere, where it pulls less hard."""
    times, (low, high) = steps.gradient_times_own(name), _GAINED_MOST
    of_necks = isinstance(distiller, FeatureDistiller) and distiller.source == 'neck' and hasattr(model, 'roi_head')
    if not of_necks or type(distiller.loss) not in _OF_MAPS or not 0 < times < low:
        return ''
    weights = ' to '.join(f'{float(f"{distiller.loss.loss_weight * bound / times:.2g}"):g}' for bound in (low, high))
    return (
        f", {times:.2g} times that of the student's own losses: hints, CWD and PKD gained most at {low:g} to {high:g} "
        f'times, here a loss_weight of {weights} (docs/loss_weights.md)'
    )


def _cure(steps: Steps, loss: str, distiller: BaseDistiller, part: str) -> str:
    """What to do about one loss of a distiller."""
    if not distiller.is_active:
        return 'its weight is 0: give it one, or leave it out'
    if not any(steps.values[loss]):
        # a bounded regression lets off who is no worse than the teacher, as a fresh student is on the true boxes
        bounded = part == 'bbox' and has_weight(getattr(distiller, 'loss_bbox', None))
        return '' if bounded or not steps.objects else 'it was 0 in every step: give it a loss_weight, or leave it out'
    if not math.isfinite(sum(steps.gradients[loss])):
        return 'its gradient is not finite: lower its loss_weight, or take another loss'
    if not any(steps.gradients[loss]):
        return 'it has no gradient at the maps that it compares: let the student train what comes before them'
    if steps.times_own(loss) < _WEAK:
        return f"it is below {_WEAK:g} of the student's own losses: raise its loss_weight"
    if steps.times_own(loss) > _STRONG:
        return f"it is over {_STRONG:g} times the student's own losses: lower its loss_weight"
    return ''


@contextmanager
def _compared_maps(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the maps from which all that is compared comes, while the block runs: the neck's, or the backbone's."""
    kinds = {kind for distiller in model.distillers.values() for kind in distiller.kinds}
    module = model.neck if model.with_neck and 'backbone' not in kinds else model.backbone
    maps: list[Tensor] = []
    handle = module.register_forward_hook(lambda module, inputs, outputs: maps.extend(outputs))
    try:
        yield maps
    finally:
        handle.remove()


def _total(loss: Any) -> Tensor:
    return sum(map(_total, loss)) if isinstance(loss, (list, tuple)) else loss.mean()


def _sums(model: nn.Module, losses: dict[str, Any]) -> dict[str, Tensor]:
    """Each loss of a distiller, and the sum of the student's own."""
    sums: dict[str, Tensor] = {}
    for name, loss in losses.items():
        who = name if name.partition('.')[0] in model.distillers else _OWN
        if 'loss' in name:  # accuracies are beside them
            sums[who] = sums.get(who, 0) + _total(loss)
    return sums


def _weigh(sums: dict[str, Tensor], maps: list[Tensor], steps: Steps) -> None:
    """Note the norms of the gradients at all maps together, of each loss and of each distiller."""
    reached = [each for each in maps if each.requires_grad]
    together: dict[str, list[Tensor]] = {}
    for name, total in sums.items():
        gradients = _gradients(total, reached)
        steps.gradients.setdefault(name, []).append(_norm(gradients))
        if name != _OWN:
            distiller = name.partition('.')[0]
            before = together.get(distiller)
            together[distiller] = (
                gradients if before is None else [a + b for a, b in zip(before, gradients, strict=True)]
            )
    for distiller, gradients in together.items():
        steps.together.setdefault(distiller, []).append(_norm(gradients))


def _gradients(total: Tensor, maps: list[Tensor]) -> list[Tensor]:
    """At each map, of its shape; zeros where nothing arrives."""
    if not maps or not total.requires_grad:
        return [torch.zeros_like(each) for each in maps]
    found = torch.autograd.grad(total, maps, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(m) if g is None else g for m, g in zip(maps, found, strict=True)]


def _norm(gradients: list[Tensor]) -> float:
    return sum(each.double().square().sum().item() for each in gradients) ** 0.5
