"""The student's knowledge: recorded while its own ``loss()`` runs."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.structures.bbox import cat_boxes, get_box_tensor
from torch import Tensor, nn

from .recorder import Call, record_calls
from .roi_head import box_heads
from .structures import DenseTargets, RoIOutputs, RoITargets, RPNOutputs, RPNTargets

#: Kinds of knowledge that can be recorded; which of them there are is up to the detector.
KINDS = ('backbone', 'neck', 'rpn', 'roi', 'dense')
_Found = TypeVar('_Found')


class StudentKnowledge:
    """What the student computed in one step. Nothing here is computed anew; what is found in it is found once.

    Args:
        calls: the recorded calls by point.
        canvas: height and width of the padded batch that the student sees, pixels.
    """

    def __init__(self, calls: dict[str, list[Call]], canvas: tuple[int, int]) -> None:
        self._calls = calls
        self._found: dict[str, Any] = {}
        self.canvas = canvas

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
    def dense(self) -> tuple[Tensor, ...]:
        """The class scores of the dense head, (N, A * K, H, W) a level; K = C, or C + 1 with the background last."""
        return tuple(self._only('dense.forward').result[0])

    @property
    def dense_targets(self) -> DenseTargets:
        """The targets of the dense head, the levels joined."""
        labels, _ = self._dense_target_lists()
        images = len(self.dense[0])
        return DenseTargets(torch.cat([level.reshape(images, -1) for level in labels], dim=1))

    @property
    def dense_regressions(self) -> tuple[Tensor, ...]:
        """What the dense head regresses, as its ``forward`` gives it, (N, A * R, H, W) a level."""
        return tuple(self._only('dense.forward').result[1])

    @property
    def dense_bbox_targets(self) -> Tensor:
        """What the dense head was to regress (N, M, 4), in its own encoding; of any value but on positive priors."""
        _, targets = self._dense_target_lists()
        images = len(self.dense[0])
        return torch.cat([level.reshape(images, -1, 4) for level in targets], dim=1)

    def _dense_target_lists(self) -> tuple[list[Tensor], list[Tensor]]:
        """Labels and regression targets of the dense head, a tensor a level.

        Heads return lists in no common order. The labels are the one list of integers; after it, the targets are the
        first list that has as many dimensions and one more.
        """
        lists = [part for part in self._only('dense.get_targets').result if isinstance(part, (list, tuple))]
        place = next(i for i, part in enumerate(lists) if not part[0].is_floating_point())
        labels = lists[place]
        return labels, next(part for part in lists[place + 1 :] if part[0].dim() == labels[0].dim() + 1)

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
def observe_student(detector: nn.Module, kinds: Collection[str], canvas: tuple[int, int]) -> Iterator[StudentKnowledge]:
    """Record ``kinds`` of knowledge while the block runs; let everything go after.

    Args:
        detector: a detector of mmdet.
        kinds: of :data:`KINDS`.
        canvas: height and width of the padded batch, pixels.
    """
    points: dict[str, tuple[nn.Module, str]] = {}
    for source in ('backbone', 'neck'):
        if source in kinds:
            points[source] = (getattr(detector, source), 'forward')
    if 'rpn' in kinds:
        points['rpn.forward'] = (detector.rpn_head, 'forward')
        points['rpn.get_targets'] = (detector.rpn_head, 'get_targets')
    if 'dense' in kinds:
        points['dense.forward'] = (detector.bbox_head, 'forward')
        points['dense.get_targets'] = (detector.bbox_head, 'get_targets')
    if 'roi' in kinds:
        for stage, head in enumerate(box_heads(detector.roi_head)):
            points[f'roi.{stage}'] = (head, 'loss_and_target')
    with record_calls(points) as calls:
        student = StudentKnowledge(calls, canvas)
        try:
            yield student
        finally:
            student.forget()
