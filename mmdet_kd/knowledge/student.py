"""The student's knowledge: recorded while its own ``loss()`` runs."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn

from ..heads import (
    Assignment,
    Call,
    DensePredictions,
    DenseView,
    EncoderView,
    HeadView,
    Point,
    PositivePriors,
    PositiveRoIs,
    RoIMasks,
    RoIOutputs,
    RoITargets,
    RoIView,
    RPNOutputs,
    RPNTargets,
    RPNView,
    TowerMaps,
    Truth,
    find_view,
    head_of,
    towers_question,
)
from .crossed import tower_maps
from .recorder import record_calls

#: Kinds of knowledge that can be recorded; which of them there are is up to the detector.
#: Kinds of their own are the masks of a RoI head, the questions of a dense head about what it is trained towards, and
#: the maps within its towers, of each depth (:func:`towers_kind`).
KINDS = (
    'backbone',
    'neck',
    'memory',
    'rpn',
    'roi',
    'roi.masks',
    'dense',
    'dense.labels',
    'dense.positives',
    'dense.assign',
    'dense.centerness',
)
#: Where maps may come from beside the 'backbone' and the 'neck': the class scores of the dense head, as it makes them.
SCORE_MAPS = 'dense.cls'
#: And what the encoder of a DETR makes of them.
MEMORY = 'memory'
_Found = TypeVar('_Found')


class StudentKnowledge:
    """What the student computed in one step. Nothing here is computed anew; what is found in it is found once.

    Args:
        calls: the recorded calls by point.
        views: those of the heads that are asked, by the kind of knowledge (:func:`views_of`).
    """

    def __init__(self, calls: dict[str, list[Call]], views: Mapping[str, HeadView] | None = None) -> None:
        self._calls = calls
        self._views = views or {}
        self._found: dict[str, Any] = {}

    def cached(self, name: str, find: Callable[[], _Found]) -> _Found:
        """What several distillers look for here: found for the first that asks, and kept for the others.

        Args:
            name: of what is looked for.
            find: finds it.
        """
        if name not in self._found:
            self._found[name] = find()
        return self._found[name]

    def forget(self) -> None:
        """Let everything go."""
        self._calls.clear()
        self._found.clear()

    def features(self, source: str) -> tuple[Tensor, ...]:
        """The maps of the 'backbone', the 'neck' or the 'memory', or the :data:`SCORE_MAPS`, (N, C, H, W) each.

        A TridentNet has N of each branch, those of the first branch first.
        """
        if source == MEMORY:
            return self.cached(MEMORY, self._memory)
        return tuple(self.dense.score_maps if source == SCORE_MAPS else self._only(source).result)

    @property
    def rpn(self) -> RPNOutputs:
        """The raw outputs of the RPN head."""
        return self._views['rpn'].outputs(self._only('rpn.forward').result)

    @property
    def rpn_predictions(self) -> DensePredictions:
        """The same, as what a dense head of one class predicts for its priors."""
        return self.cached('rpn.predictions', lambda: self._views['rpn'].predictions(self.rpn))

    def rpn_assigned(self, boxes: Sequence[Tensor]) -> Tensor:
        """Which anchors (N, M) the RPN head would train towards other boxes, (k, 4) of each picture; bool."""
        return self._views['rpn'].assign(self._calls_of('rpn'), boxes)

    @property
    def rpn_targets(self) -> RPNTargets:
        """The targets of the RPN head, the levels joined."""
        return self.cached('rpn.targets', lambda: self._views['rpn'].targets(self._calls_of('rpn')))

    @property
    def dense(self) -> DensePredictions:
        """What the dense head predicts for its priors."""
        return self.cached('dense', self._predictions)

    @property
    def dense_assignment(self) -> Assignment:
        """What each prior of the dense head was trained towards."""
        return self.cached('dense.assignment', lambda: self._views['dense'].assignment(self._calls_of('dense')))

    def dense_positives(self, truth: Truth) -> PositivePriors:
        """The positive priors of the dense head, and the true box of each.

        Args:
            truth: the true boxes of the batch.
        """
        return self.cached('dense.positives', lambda: self._views['dense'].positives(self._calls_of('dense'), truth))

    def dense_assigned(self, boxes: Sequence[Tensor]) -> Tensor:
        """Which priors (N, M) the dense head would train towards other boxes, (k, 4) of each picture; bool."""
        return self._views['dense'].assign(self._calls_of('dense'), boxes)

    @property
    def dense_centerness(self) -> Tensor:
        """The sum of the centerness that the positive priors of the dense head were trained towards; constant."""
        return self.cached('dense.centerness', lambda: self._views['dense'].centerness_sum(self._calls_of('dense')))

    def dense_towers(self, depth: int) -> TowerMaps:
        """The maps within the towers of the dense head after ``depth`` convolutions, before the activation."""
        return tower_maps(lambda point: self._calls[f'dense.{point}'], depth)

    def _predictions(self) -> DensePredictions:
        raw = self._only('dense.forward').result
        view = self._views['dense']
        return DensePredictions(view, view.maps(raw, training=True))

    def _memory(self) -> tuple[Tensor, ...]:
        return self._views[MEMORY].memory_of(self._only('memory.maps'), self._only('memory.encoder'))

    def _calls_of(self, kind: str) -> dict[str, list[Call]]:
        prefix = f'{kind}.'
        return {name.removeprefix(prefix): calls for name, calls in self._calls.items() if name.startswith(prefix)}

    def roi_stages(self) -> Iterator[tuple[int, RoIOutputs, RoITargets]]:
        """Index, outputs and targets of each stage of the RoI head that ran; a cascade may stop early."""
        return self._views['roi'].trained(self._calls_of('roi'))

    def roi_positives(self, stage: int, truth: Truth) -> PositiveRoIs:
        """The positive RoIs of one stage, and the true box of each.

        Args:
            stage: index of a stage that ran.
            truth: the true boxes of the batch.
        """
        return self._views['roi'].positives(self._calls_of('roi'), truth, stage)

    def roi_masks(self) -> Iterator[tuple[int, RoIMasks]]:
        """Index and masks of each stage of the RoI head whose mask head was trained; a cascade may stop early."""
        return self._views['roi'].trained_masks(self._calls_of('roi'))

    def _only(self, point: str) -> Call:
        calls = self._calls[point]
        if len(calls) != 1:
            raise RuntimeError(f"the student's {point} ran {len(calls)} times in a step, where once was expected")
        return calls[0]


def towers_kind(depth: int) -> str:
    """The kind of knowledge that is the maps within the towers of a dense head after ``depth`` convolutions."""
    return f'dense.{towers_question(depth)}'


def views_of(detector: nn.Module, kinds: Collection[str]) -> dict[str, HeadView]:
    """The views of the heads and the encoder of a detector that these kinds of knowledge come from: kind -> view."""
    views: dict[str, HeadView] = {}
    if 'rpn' in kinds:
        views['rpn'] = find_view(detector.rpn_head, RPNView)
    if {'roi', 'roi.masks'} & set(kinds):
        views['roi'] = find_view(detector.roi_head, RoIView)
    if MEMORY in kinds:
        views[MEMORY] = find_view(detector, EncoderView)
    if any(kind.startswith('dense') for kind in kinds):
        views['dense'] = find_view(head_of(detector), DenseView)
    return views


@contextmanager
def observe_student(detector: nn.Module, kinds: Collection[str]) -> Iterator[StudentKnowledge]:
    """Record ``kinds`` of knowledge while the block runs; let everything go after.

    Args:
        detector: a detector of mmdet.
        kinds: of :data:`KINDS`.
    """
    points: dict[str, Point] = {}
    for source in ('backbone', 'neck'):
        if source in kinds:
            points[source] = (getattr(detector, source), 'forward')
    views = views_of(detector, kinds)
    for kind, view in views.items():
        asked = {name.removeprefix(f'{kind}.') for name in kinds if name.partition('.')[0] == kind}
        questions = asked if kind in ('roi', 'dense') else view.questions
        points |= {f'{kind}.{name}': point for name, point in view.points(questions).items()}
    with record_calls(points) as calls:
        student = StudentKnowledge(calls, views)
        try:
            yield student
        finally:
            student.forget()
