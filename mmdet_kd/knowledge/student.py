"""The student's knowledge: recorded while its own ``loss()`` runs."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures.bbox import cat_boxes, get_box_tensor
from torch import Tensor, nn

from ..heads import (
    Assignment,
    Call,
    DensePredictions,
    DenseView,
    Point,
    PositivePriors,
    RoIOutputs,
    RoITargets,
    RPNOutputs,
    RPNTargets,
    Truth,
    find_view,
    head_of,
)
from .recorder import record_calls
from .roi_head import box_heads

#: Kinds of knowledge that can be recorded; which of them there are is up to the detector.
#: The questions of a dense head that concern what it is trained towards are kinds of their own.
KINDS = ('backbone', 'neck', 'rpn', 'roi', 'dense', 'dense.labels', 'dense.positives')
_Found = TypeVar('_Found')


class StudentKnowledge:
    """What the student computed in one step. Nothing here is computed anew; what is found in it is found once.

    Args:
        calls: the recorded calls by point.
        dense_view: of the dense head; None where it is not asked.
    """

    def __init__(self, calls: dict[str, list[Call]], dense_view: DenseView | None = None) -> None:
        self._calls = calls
        self._dense_view = dense_view
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
        """The maps of the 'backbone' or the 'neck', (N, C, H, W) each."""
        return tuple(self._only(source).result)

    @property
    def rpn(self) -> RPNOutputs:
        """The raw outputs of the RPN head."""
        return RPNOutputs(*self._only('rpn.forward').result)

    @property
    def rpn_targets(self) -> RPNTargets:
        """The targets of the RPN head, the levels joined."""
        call = self._only('rpn.get_targets')
        _, label_weights, bbox_targets, bbox_weights, avg_factor = call.result[:5]
        return RPNTargets(
            anchors=get_box_tensor(cat_boxes(call.arguments['anchor_list'][0])),
            label_weights=torch.cat(label_weights, dim=1),
            bbox_targets=torch.cat(bbox_targets, dim=1),
            bbox_weights=torch.cat(bbox_weights, dim=1),
            avg_factor=avg_factor,
        )

    @property
    def dense(self) -> DensePredictions:
        """What the dense head predicts for its priors."""
        return self.cached('dense', lambda: self._predictions())

    @property
    def dense_assignment(self) -> Assignment:
        """What each prior of the dense head was trained towards."""
        return self.cached('dense.assignment', lambda: self._dense_view.assignment(self._dense_calls()))

    def dense_positives(self, truth: Truth) -> PositivePriors:
        """The positive priors of the dense head, and the true box of each.

        Args:
            truth: the true boxes of the batch.
        """
        return self.cached('dense.positives', lambda: self._dense_view.positives(self._dense_calls(), truth))

    def _predictions(self) -> DensePredictions:
        raw = self._only('dense.forward').result
        return DensePredictions(self._dense_view, self._dense_view.maps(raw, training=True))

    def _dense_calls(self) -> dict[str, list[Call]]:
        prefix = 'dense.'
        return {name.removeprefix(prefix): calls for name, calls in self._calls.items() if name.startswith(prefix)}

    def roi_stages(self) -> Iterator[tuple[int, RoIOutputs, RoITargets]]:
        """Index, outputs and targets of each stage of the RoI head that ran; a cascade may stop early."""
        for name, calls in self._calls.items():
            if name.startswith('roi.') and calls:
                arguments, result = self._only(name)
                outputs = RoIOutputs(arguments['cls_score'], arguments['bbox_pred'])
                yield int(name.removeprefix('roi.')), outputs, RoITargets(arguments['rois'], *result['bbox_targets'])

    def roi_sampling(self, stage: int) -> list[SamplingResult]:
        """How one stage's RoIs of each picture were sampled, and what is assigned to the positive ones."""
        return self._only(f'roi.{stage}').arguments['sampling_results']

    def _only(self, point: str) -> Call:
        calls = self._calls[point]
        if len(calls) != 1:
            raise RuntimeError(f"the student's {point} ran {len(calls)} times in a step, where once was expected")
        return calls[0]


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
    if 'rpn' in kinds:
        points['rpn.forward'] = (detector.rpn_head, 'forward')
        points['rpn.get_targets'] = (detector.rpn_head, 'get_targets')
    questions = {kind.removeprefix('dense.') for kind in kinds if kind.startswith('dense')}
    view = find_view(head_of(detector), DenseView) if questions else None
    if view is not None:
        points |= {f'dense.{name}': point for name, point in view.points(questions).items()}
    if 'roi' in kinds:
        for stage, head in enumerate(box_heads(detector.roi_head)):
            points[f'roi.{stage}'] = (head, 'loss_and_target')
    with record_calls(points) as calls:
        student = StudentKnowledge(calls, view)
        try:
            yield student
        finally:
            student.forget()
