"""Loss weights that change during training."""

import fnmatch
import math
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.hooks.hook import DATA_BATCH
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from ..errors import DistillationError


@HOOKS.register_module()
class LossWeightRampHook(Hook):
    """Moves a number of the model along a straight line, e.g. mu of a RoI distiller from 0 to 0.5.

    With `begin` and `end` the same it is a step: from 1 to 0 in the weights of all distillers it ends the distillation,
    and the teacher no longer runs.

    The value is `start` before `begin`, `stop` from `end` on, and linear between. It depends on the position alone,
    so a resumed run has it right without any state.

    Args:
        path: dotted name of the number, from the model, e.g. `distillers.roi.mu` or
            `distillers.hint.loss.loss_weight`; `*` stands for any part of a name: `distillers.*.weight`.
        start: first value, >= 0.
        stop: last value, >= 0.
        begin: iteration, or epoch, in which the ramp starts, from 0.
        end: iteration, or epoch, from which on the value is `stop`; not before `begin`.
        by_epoch: count in epochs instead of iterations.

    Raises:
        DistillationError: a negative or non-finite value, or an impossible interval; when training starts, a path that
            names no number of the model.
    """

    priority = 'NORMAL'

    def __init__(self, path: str, start: float, stop: float, begin: int, end: int, by_epoch: bool = False) -> None:
        for name, value in (('start', start), ('stop', stop)):
            if not math.isfinite(value) or value < 0:
                raise DistillationError([f'LossWeightRampHook({path!r}): {name} must be finite and >= 0, got {value}'])
        if not 0 <= begin <= end:
            raise DistillationError(
                [f'LossWeightRampHook({path!r}): needs 0 <= begin <= end, got begin={begin}, end={end}']
            )
        self.path = path
        self.start = float(start)
        self.stop = float(stop)
        self.begin = begin
        self.end = end
        self.by_epoch = by_epoch
        self._owners: dict[str, Any] = {}

    def value_at(self, position: int) -> float:
        """The value in iteration, or epoch, `position`."""
        if position >= self.end:
            return self.stop
        if position <= self.begin:
            return self.start
        share = (position - self.begin) / (self.end - self.begin)
        return self.start + share * (self.stop - self.start)

    def before_train(self, runner: Runner) -> None:
        """Find the number, or say which there are."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        known = _numbers(model)
        paths = self._paths(known)
        self._owners = {path: _follow(model, path.rpartition('.')[0]) for path in paths}
        if not paths or not all(_is_number(getattr(owner, _name(path), None)) for path, owner in self._owners.items()):
            listed = '\n  '.join(known) or '(none)'
            raise DistillationError(
                [
                    f'LossWeightRampHook: the model has no number {self.path!r}. Set path to one of these, or to '
                    f'another float attribute:\n  {listed}'
                ]
            )
        names = {_name(path) for path in paths}
        shares = sorted(names & {'mu', 'weight'})
        if shares and max(self.start, self.stop) > 1:
            raise DistillationError([f'LossWeightRampHook({self.path!r}): {shares[0]} must lie in [0, 1]'])
        if 'temperature' in names and min(self.start, self.stop) == 0:
            raise DistillationError([f'LossWeightRampHook({self.path!r}): a temperature must be greater than 0'])
        for hook in runner.hooks:
            shared = sorted(set(hook._paths(known)) & set(paths)) if isinstance(hook, LossWeightRampHook) else []
            if shared and hook is not self:
                raise DistillationError(
                    [
                        f'two LossWeightRampHooks move {shared[0]}, and one would undo what the other does: leave one '
                        "out, or move another number, a loss_weight beside a distiller's weight, say"
                    ]
                )
        if self.by_epoch and not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise DistillationError(
                [f'LossWeightRampHook({self.path!r}): this training counts no epochs; give begin and end in iterations']
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the epoch's value."""
        if self.by_epoch:
            self._set(runner, runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None) -> None:
        """Set the iteration's value."""
        if not self.by_epoch:
            self._set(runner, runner.iter)

    def _paths(self, known: list[str]) -> list[str]:
        """The numbers that are meant, of those that are known if the path is a pattern."""
        return fnmatch.filter(known, self.path) if '*' in self.path else [self.path]

    def _set(self, runner: Runner, position: int) -> None:
        value = self.value_at(position)
        self.set_to(value)
        for path in self._owners:
            runner.message_hub.update_scalar(f'train/{path}', value)

    def set_to(self, value: float) -> None:
        """Give the number, once it is found, a value."""
        for path, owner in self._owners.items():
            setattr(owner, _name(path), value)


def _name(path: str) -> str:
    """The number's own name at the end of a dotted path."""
    return path.rpartition('.')[2]


def _follow(model: nn.Module, path: str) -> Any:
    """The object at a dotted path, or None."""
    found: Any = model
    for name in path.split('.') if path else ():
        found = getattr(found, name, None)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(model: nn.Module) -> list[str]:
    """Dotted names of what one may want to ramp: every loss weight, and every float of a distiller itself."""
    found = []
    for prefix, module in model.named_modules():
        is_distiller = prefix.startswith('distillers.') and prefix.count('.') == 1
        for name, value in vars(module).items():
            if name == 'loss_weight' or (is_distiller and isinstance(value, float) and not name.startswith('_')):
                found.append(f'{prefix}.{name}')
    return sorted(found)
