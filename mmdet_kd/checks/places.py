"""Over how many places of the teacher's maps the softmax of a loss spreads, which depends on its temperature."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .verdict import Verdict


@dataclass
class Places:
    """What some steps showed.

    Args:
        taken: distiller -> height and width of a teacher's map, in cells -> of each channel or picture, the places over
            which the softmax spreads.
        temperatures: distiller -> that of its loss.
    """

    taken: dict[str, dict[tuple[int, int], list[Tensor]]] = field(default_factory=dict)
    temperatures: dict[str, float] = field(default_factory=dict)

    def describe(self) -> Iterator[Verdict]:
        """A line for each distiller whose loss has such a softmax: the median over its channels or pictures.

        A loss that was not computed, since its weight is 0, has none.
        """
        for name, maps in self.taken.items():
            medians = {size: torch.cat(found).median().item() for size, found in maps.items()}
            said = ', '.join(f'{places:.3g} of {height * width}' for (height, width), places in medians.items())
            yield Verdict(
                f'distillers.{name}',
                f"at temperature {self.temperatures[name]:g} the softmax takes {said} places of the teacher's maps; a "
                'higher one takes more (docs/loss_weights.md)',
            )


@contextmanager
def watched_places(model: nn.Module) -> Iterator[Places]:
    """Note the places while the block runs, of each loss that has ``places_taken`` and ``temperature``, as CWD's.

    Args:
        model: a distilled detector.
    """
    places = Places()
    with ExitStack() as hooks:
        for name, distiller in model.distillers.items():
            for loss in distiller.modules():
                if hasattr(loss, 'places_taken'):
                    places.temperatures[name] = loss.temperature
                    handle = loss.register_forward_pre_hook(_noting(places.taken, name))
                    hooks.callback(handle.remove)
        yield places


def _noting(taken: dict[str, dict[tuple[int, int], list[Tensor]]], name: str) -> Callable[[nn.Module, tuple], None]:
    """A hook on a loss of (student map, teacher map, ...) of a distiller."""

    @torch.no_grad()
    def note(loss: nn.Module, args: tuple) -> None:
        feat_t = args[1]
        size = (feat_t.shape[-2], feat_t.shape[-1])
        taken.setdefault(name, {}).setdefault(size, []).append(loss.places_taken(feat_t).flatten().cpu())

    return note
