"""What is said of distillers that stop before the training ends."""

from collections.abc import Mapping

from mmengine.logging import print_log

from ..distillers import BaseDistiller
from ..errors import raise_if_any
from ..knowledge import epochs


def stop_problems(distillers: Mapping[str, BaseDistiller], count: int | None) -> list[str]:
    """What forbids that distillers stop as their configs say, in a training of so many epochs.

    Args:
        distillers: name -> distiller.
        count: of epochs; None where the training counts iterations alone.
    """
    return [
        problem
        for name, each in distillers.items()
        if each.stop is not None
        for problem in each.stop.problems(name, count)
    ]


class StopNotice:
    """Says once in a log that distillers have stopped, in the first step without them, or that nobody can tell."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._checked = self._warned = False

    def watch(self, distillers: Mapping[str, BaseDistiller]) -> None:
        """Look at the distillers before a step.

        Raises:
            DistillationError: in the first step, where no hook told the detector before how long the training is:
                one of them cannot stop as its config says.
        """
        stopping = {name: each for name, each in distillers.items() if each.stop is not None}
        if not stopping:
            return
        position = epochs()
        if position is None and not self._warned:
            self._warned = True
            _log(
                f'Nobody says in which epoch this step is, so {_listed(stopping)} cannot stop: train with '
                "mmengine's Runner and its RuntimeInfoHook."
            )
        if position is not None and not self._checked:
            self._checked = True
            raise_if_any(stop_problems(stopping, position.of))
        new = [name for name, each in stopping.items() if name not in self._said and each.has_stopped]
        if new:
            self._said.update(new)
            asked = any(each.is_active for each in distillers.values())
            _log(
                f'Epoch {position.epoch + 1} of {position.of}: {_listed({name: stopping[name] for name in new})} '
                f'{"has" if len(new) == 1 else "have"} stopped. The losses of {", ".join(new)} are 0 from now on'
                + ('.' if asked else ', no teacher is run any more, and the student trains on by its own losses.')
            )


def _listed(distillers: Mapping[str, BaseDistiller]) -> str:
    return ', '.join(f'distillers.{name} ({each.stop})' for name, each in distillers.items())


def _log(line: str) -> None:
    print_log(line, logger='current')
