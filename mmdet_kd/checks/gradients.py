"""What each loss of a step weighs at the maps that the student is compared at."""

import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn

from ..distillers import BaseDistiller
from .verdict import Verdict

#: Shares of the gradient at the compared maps between which a distiller neither whispers nor drowns the labels.
_WEAK, _STRONG = 1e-3, 0.995
_OWN = "the student's own losses"


@dataclass
class Steps:
    """What a few training steps showed.

    Args:
        values: loss -> its value in each step.
        gradients: distiller, or the student's own losses -> norm of its gradient at the compared maps in each step.
        seconds: of each step.
        memory: most bytes in use, of the GPU or of this process.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    gradients: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    memory: int = 0

    def share(self, name: str) -> float:
        """Share of the sum of all norms, mean over the steps, in [0, 1]."""
        totals = [sum(norms) for norms in zip(*self.gradients.values(), strict=True)]
        return mean(norm / total if total else 0.0 for norm, total in zip(self.gradients[name], totals, strict=True))


def take_steps(model: nn.Module, batches: Iterable[dict[str, Any]]) -> Steps:
    """Forward and backward on some batches; no weight is changed.

    Args:
        model: a distilled detector whose teachers are loaded.
        batches: from the loader of the training.
    """
    steps = Steps()
    device = next(model.parameters()).device
    for batch in batches:
        start = time.perf_counter()
        data = model.data_preprocessor(batch, True)
        with compared_maps(model) as maps:
            losses = model(**data, mode='loss')
        parts = {name: _total(loss) for name, loss in losses.items()}
        for name, value in parts.items():
            steps.values.setdefault(name, []).append(value.item())
        for who, total in _sums(model, parts).items():
            steps.gradients.setdefault(who, []).append(_norm(total, maps))
        sum(loss for name, loss in parts.items() if 'loss' in name).backward()
        model.zero_grad(set_to_none=True)
        steps.seconds.append(time.perf_counter() - start)
    if device.type == 'cuda':
        steps.memory = torch.cuda.max_memory_allocated(device)
    else:
        steps.memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return steps


@contextmanager
def compared_maps(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the maps that the distillers compare, or that the heads read which they compare, while the block runs."""
    kinds = {kind for distiller in model.distillers.values() for kind in distiller.kinds}
    deeper = model.neck if model.with_neck and kinds != {'backbone'} else model.backbone
    maps: list[Tensor] = []
    handle = deeper.register_forward_hook(lambda module, inputs, outputs: maps.extend(outputs))
    try:
        yield maps
    finally:
        handle.remove()


def judge_losses(model: nn.Module, steps: Steps) -> list[Verdict]:
    """A verdict on each distiller: that it has a gradient, and one that counts beside the student's own."""
    verdicts = []
    for name, distiller in model.distillers.items():
        parts = {loss: mean(values) for loss, values in steps.values.items() if loss.startswith(f'{name}.')}
        said = ', '.join(f'{loss.partition(".")[2]} {value:.3g}' for loss, value in parts.items())
        silent = [loss for loss in parts if not any(steps.values[loss])]
        share = steps.share(name)
        found = f'{said}; {100 * share:.3g} % of the gradient at the compared maps'
        verdicts.append(Verdict(f'distillers.{name}', found, _cure(distiller, silent, share)))
    own = f'{100 * steps.share(_OWN):.3g} % of the gradient at the compared maps'
    return [*verdicts, Verdict(_OWN, own)]


def _cure(distiller: BaseDistiller, silent: list[str], share: float) -> str:
    if not distiller.is_active:
        return 'its weight is 0, so it teaches nothing: give it a weight, or leave it out'
    if silent:
        return f'{", ".join(silent)} was 0 in every step, so it teaches nothing: give it a weight, or leave it out'
    if share == 0:
        return 'it has no gradient at the maps that it compares: is the part of the student before them frozen?'
    if share < _WEAK:
        return f'it is too weak to be felt (below {100 * _WEAK:g} %): raise its loss_weight'
    if share > _STRONG:
        return f'it drowns what the labels say (above {100 * _STRONG:g} %): lower its loss_weight'
    return ''


def judge_training(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Verdict]:
    """A verdict on what is trained: every adapter, and something of every part of the student.

    Args:
        model: a distilled detector.
        optimizer: of the training, as the config builds it.
    """
    trained = {
        id(parameter)
        for group in optimizer.param_groups
        if group.get('initial_lr', group['lr']) > 0
        for parameter in group['params']
        if parameter.requires_grad
    }
    verdicts = []
    left = [name for name, parameter in model.distillers.named_parameters() if id(parameter) not in trained]
    count = sum(1 for _ in model.distillers.parameters())
    if count:
        verdicts.append(
            Verdict(
                'adapters',
                f'{count - len(left)} of their {count} parameters are trained',
                f'{", ".join(left[:3])} are not: let the optimizer have them, with a learning rate' if left else '',
            )
        )
    frozen = [
        name
        for name, part in model.named_children()
        if name != 'distillers' and any(True for _ in part.parameters()) and not _any_of(part, trained)
    ]
    cure = f'nothing of {", ".join(frozen)} is trained, so nothing before it learns from it as meant: unfreeze it'
    return [*verdicts, Verdict('student', _parts_trained(model, trained), cure if frozen else '')]


def _parts_trained(model: nn.Module, trained: set[int]) -> str:
    said = []
    for name, part in model.named_children():
        parameters = list(part.parameters())
        if name != 'distillers' and parameters:
            share = sum(p.numel() for p in parameters if id(p) in trained) / sum(p.numel() for p in parameters)
            said.append(f'{name} {100 * share:.0f} %')
    return 'trained: ' + ', '.join(said)


def _any_of(part: nn.Module, trained: set[int]) -> bool:
    return any(id(parameter) in trained for parameter in part.parameters())


def _total(loss: Any) -> Tensor:
    return sum(map(_total, loss)) if isinstance(loss, (list, tuple)) else loss.mean()


def _sums(model: nn.Module, parts: dict[str, Tensor]) -> dict[str, Tensor]:
    """The sum of the losses of each distiller, and of the student's own."""
    of: Callable[[str], str] = lambda loss: loss.partition('.')[0] if '.' in loss else ''  # noqa: E731
    sums: dict[str, Tensor] = {}
    for loss, value in parts.items():
        who = of(loss) if of(loss) in model.distillers else _OWN
        if 'loss' in loss:
            sums[who] = sums.get(who, 0) + value
    return sums


def _norm(total: Tensor, maps: list[Tensor]) -> float:
    """Norm of the gradient at all maps together."""
    reached = [each for each in maps if each.requires_grad]
    if not reached or not total.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(total, reached, retain_graph=True, allow_unused=True)
    return sum(each.double().square().sum().item() for each in gradients if each is not None) ** 0.5
