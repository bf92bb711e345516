"""A student's maps in the teacher's dense head (CrossKD): they go through the rest of it, with a gradient.

The head's own ``forward`` is run. Its first convolutions are skipped, and the last of them gives the student's maps.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..heads import DenseView, TowerMaps, Towers
from ..losses.functional import channel_statistics, match_statistics
from .parts import PartForm, run_part, run_with_graph
from .recorder import record_calls, replace_method


class DensePass(NamedTuple):
    """One run of the teacher's head on its own maps."""

    raw: tuple  # what its forward returned
    statistics: dict[int, dict[str, list[tuple[Tensor, Tensor]]]]  # depth -> tower -> of each level, see run_head


def run_head(view: DenseView, maps: tuple[Tensor, ...], form: PartForm, depths: Collection[int]) -> DensePass:
    """Run a frozen head on the maps that it reads, and note mean and deviation of the channels within its towers.

    Args:
        view: of the head.
        maps: a level each.
        form: in which the head gets them.
        depths: after how many convolutions they are noted; none: the head is run as it is.
    """
    if not depths:
        return DensePass(tuple(run_part(view.head, maps, form)), {})
    # Not as it may have been compiled: each recording would be compiled anew.
    with record_calls(view.tower_points(depths)) as calls:
        raw = run_part(view.head.forward, maps, form)
    statistics: dict[int, dict[str, list[tuple[Tensor, Tensor]]]] = {
        depth: {tower: [] for tower in Towers._fields} for depth in depths
    }
    for depth, towers in statistics.items():
        for tower, found in towers.items():
            for call in calls.pop(f'towers.{depth}.{tower}'):
                mean, variance = channel_statistics(_only(call.arguments).float())
                found.append((mean, variance.sqrt()))
    return DensePass(tuple(raw), statistics)


def match(given: TowerMaps, statistics: dict[str, list[tuple[Tensor, Tensor]]]) -> TowerMaps:
    """Give each channel of the student's maps the mean and the deviation of the teacher's, in single precision."""
    with torch.autocast(given.cls[0].device.type, enabled=False):
        return TowerMaps(
            *(
                [
                    match_statistics(feat.float(), *of_level)
                    for feat, of_level in zip(maps, statistics[tower], strict=True)
                ]
                for tower, maps in given._asdict().items()
            )
        )


def run_rest(view: DenseView, given: TowerMaps, depth: int, form: PartForm) -> Any:
    """What a frozen head makes of maps within its towers; with a gradient towards these.

    Args:
        view: of the head.
        given: maps as its first convolutions would make them, before the activation.
        depth: how many convolutions come before them.
        form: in which the head gets them.
    """
    formed = TowerMaps(*([form.apply_to(feat) for feat in maps] for maps in given))
    with ExitStack() as stack:
        for tower, maps in zip(view.towers, formed, strict=True):
            stack.enter_context(_fed(tower, depth, maps))
        # Of what it is given here, only the number of levels counts.
        return run_with_graph(view.head.forward, tuple(formed.cls), form)


@contextmanager
def _fed(tower: Sequence[nn.Module], depth: int, maps: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the first convolutions of a tower do nothing, and the last of them gives these maps, one a call."""
    *skipped, last = tower[:depth]
    levels = iter(maps)

    def feed(_: Tensor) -> Tensor:
        return last.activate(next(levels).clone())  # it may write over them

    with ExitStack() as stack:
        for conv, instead in [*((conv, _pass_on) for conv in skipped), (last, feed)]:
            stack.enter_context(replace_method(conv, 'forward', instead))
        yield


def _pass_on(feat: Tensor) -> Tensor:
    return feat


def tower_maps(calls: Callable[[str], Sequence[Any]], depth: int) -> TowerMaps:
    """The recorded maps within the towers.

    Args:
        calls: the recorded calls of a point.
        depth: after how many convolutions.
    """
    return TowerMaps(*([_only(call.arguments) for call in calls(f'towers.{depth}.{name}')] for name in Towers._fields))


def _only(arguments: dict[str, Tensor]) -> Tensor:
    (feat,) = arguments.values()
    return feat
