"""When a distiller stops teaching before the training ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import raise_if_any


@dataclass(frozen=True)
class Stop:
    """The epoch from which on a distiller teaches no more. It is counted as mmdet's hooks count theirs.

    One of the two is given.

    Args:
        stop_epoch: it stops in this epoch, counted from 0, so that so many epochs are distilled. It is counted as the
            ``switch_epoch`` of mmdet's ``PipelineSwitchHook``.
        num_last_epochs: counted from the end as in mmdet's ``YOLOXModeSwitchHook``: it stops in epoch
            ``max_epochs - num_last_epochs - 1``, counted from 0. So the last ``num_last_epochs + 1`` epochs are not
            distilled, the ones in which that hook leaves mosaics out.
    """

    stop_epoch: int | None = None
    num_last_epochs: int | None = None

    def __str__(self) -> str:
        if self.num_last_epochs is None:
            return f'stop_epoch={self.stop_epoch}'
        return f'num_last_epochs={self.num_last_epochs}'

    def first_epoch(self, epochs: int) -> int:
        """The first epoch without distillation, counted from 0.

        Args:
            epochs: of the whole training.
        """
        return self.stop_epoch if self.num_last_epochs is None else epochs - self.num_last_epochs - 1

    def problems(self, name: str, epochs: int | None) -> list[str]:
        """What forbids that a distiller stops so in a training, with the cure.

        Args:
            name: of the distiller.
            epochs: of the whole training; None where it counts iterations alone.
        """
        if epochs is None:
            return [
                f'distillers.{name}: {self} counts epochs, and this training counts iterations alone. Leave it out; '
                f"custom_hooks=[dict(type='LossWeightRampHook', path='distillers.{name}.weight', start=1.0, stop=0.0, "
                'begin=N, end=N)] stops it in iteration N'
            ]
        first = self.first_epoch(epochs)
        if first < 1:
            return [
                f'distillers.{name}: with {self} it stops before the first of {_count(epochs)}, so nothing would be '
                'distilled: lower num_last_epochs, or train longer'
            ]
        if first >= epochs:
            return [
                f'distillers.{name}: with {self} it does not stop, since the training has {_count(epochs)} (an '
                'IterBasedTrainLoop counts as one): lower stop_epoch, train longer, or leave it out'
            ]
        return []


#: What stops a distiller, of any class, in its config.
STOP_KEYS = ('stop_epoch', 'num_last_epochs')


def stop_of(cfg: Mapping[str, Any]) -> Stop | None:
    """When a distiller is to stop, by its config; None where it teaches to the end.

    Raises:
        DistillationError: both keys are given, or one of them is no number of epochs.
    """
    given = {key: cfg[key] for key in STOP_KEYS if cfg.get(key) is not None}
    if len(given) == 2:
        raise_if_any(['stop_epoch and num_last_epochs say the same thing in two ways: leave one of them out'])
    least = {'stop_epoch': 1, 'num_last_epochs': 0}
    raise_if_any(
        [
            f'{key} must be a number of epochs, at least {least[key]}, not {count!r}'
            for key, count in given.items()
            if isinstance(count, bool) or not isinstance(count, int) or count < least[key]
        ]
    )
    return Stop(**given) if given else None


def _count(epochs: int) -> str:
    return f'{epochs} epoch{"s" if epochs != 1 else ""}'
