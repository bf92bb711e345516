"""What the RoI head of a two-stage detector says: of the RoIs that it trains on, and of RoIs that it is given.

A RoI head has a box head for each of its stages, one without a cascade. What is read of a step are the arguments of
each box head's ``loss``, which every RoI head calls once a stage, also one that does not call ``loss_and_target``
(PISA); and the sampling results that its ``get_targets`` is given.

Shapes: n RoIs of the whole batch, of which K are positive; C classes.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from mmdet.models.roi_heads import (
    CascadeRoIHead,
    DoubleHeadRoIHead,
    DynamicRoIHead,
    GridRoIHead,
    HybridTaskCascadeRoIHead,
    MaskScoringRoIHead,
    MultiInstanceRoIHead,
    PISARoIHead,
    PointRendRoIHead,
    SCNetRoIHead,
    SparseRoIHead,
    StandardRoIHead,
    TridentRoIHead,
)
from torch import Tensor, nn

from ..losses.compares import Compares
from .base import Call, Calls, HeadView, Point, find_view, register_view
from .box import CROWD, QUESTIONS, SPARSE, BoxHeadView
from .structures import RoIOutputs, RoITargets, Truth


class PositiveRoIs(NamedTuple):
    """The K positive RoIs of one stage, those of the first picture first."""

    rows: Tensor  # (K,); their places among the stage's RoIs
    truth: Tensor  # (K,); indices of the true boxes of the whole batch
    counts: list[int]  # how many there are in each picture


def box_heads(roi_head: nn.Module) -> list[nn.Module]:
    """The box head of each stage of a RoI head: one without a cascade, none without a box branch."""
    heads = roi_head.bbox_head if roi_head.with_bbox else []
    return list(heads) if isinstance(heads, (nn.ModuleList, list)) else [heads]


@register_view(
    StandardRoIHead,
    DoubleHeadRoIHead,
    DynamicRoIHead,
    GridRoIHead,
    MaskScoringRoIHead,
    PISARoIHead,
    PointRendRoIHead,
    TridentRoIHead,
)
class RoIView(HeadView):
    """Of a RoI head of one stage.

    This class and its subclasses are the one place that names mmdet's private ``_bbox_forward``. mmdet has no public
    call for a stage: ``forward`` also runs the mask branch, and averages the stages of a cascade.
    """

    questions: ClassVar[Mapping[str, str]] = {
        **QUESTIONS,
        'given RoIs': 'anything of RoIs that it is given, which is what a teacher is asked',
    }
    decisive: ClassVar[tuple[str, ...]] = ('loss', 'bbox_loss', '_bbox_forward')

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        if not head.with_bbox:
            self._why_not = dict.fromkeys(self.questions, 'it has no box branch')

    @cached_property
    def stages(self) -> list[BoxHeadView]:
        """What the box head of each stage says."""
        views = [find_view(head, BoxHeadView) for head in box_heads(self.head)]
        for stage, view in enumerate(views):
            view.name = f'{view.name} (stage {stage})'
        return views

    @property
    def num_classes(self) -> int:
        """C, of every stage."""
        return self.stages[0].num_classes

    @property
    def use_sigmoid(self) -> bool:
        """Whether scores are of sigmoids; otherwise of one softmax with the background last. Of the first stage."""
        return bool(self.stages[0].use_sigmoid)

    @property
    def score_kind(self) -> Compares:
        """What the scores are, in the words of the losses that compare them."""
        return 'sigmoid scores' if self.use_sigmoid else 'softmax scores'

    @property
    def stage_weights(self) -> list[float]:
        """What the losses of each stage count."""
        return [1.0]

    def why_not(self, question: str) -> str | None:
        """See :class:`HeadView`; the reason of the first stage that has one."""
        if question in self._why_not or question not in QUESTIONS:
            return self._why_not.get(question)
        return next((reason for view in self.stages if (reason := view.why_not(question)) is not None), None)

    def problems(self, questions: Collection[str], who: str, whose: str, **cure: str) -> list[str]:
        """See :class:`HeadView`. A stage that does not answer is one problem for each reason."""
        own = [question for question in questions if question in self._why_not]
        if own:
            return super().problems(own, who, whose, **cure)
        of_stages = [question for question in questions if question in QUESTIONS]
        return [problem for view in self.stages for problem in view.problems(of_stages, who, whose, **cure)]

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`HeadView`."""
        del questions
        names = ('loss', 'get_targets')
        return {f'{stage}.{name}': (view.head, name) for stage, view in enumerate(self.stages) for name in names}

    def trained(self, calls: Calls) -> Iterator[tuple[int, RoIOutputs, RoITargets]]:
        """Index, outputs and targets of each stage that ran in the recorded step; a cascade may stop early.

        Raises:
            RuntimeError: no box head computed its loss.
        """
        losses = {stage: _training_calls(calls[f'{stage}.loss']) for stage in range(len(self.stages))}
        if not any(losses.values()):
            raise RuntimeError(f'no box head of the {self.name} called its loss in this step, which is observed')
        for stage, of_stage in losses.items():
            if of_stage:
                call, view = _only(of_stage, f'{stage}.loss'), self.stages[stage]
                outputs = view.outputs(call.arguments['cls_score'], call.arguments['bbox_pred'])
                yield stage, outputs, view.targets(call)

    def positives(self, calls: Calls, truth: Truth, stage: int) -> PositiveRoIs:
        """The positive RoIs of a stage. A picture's RoIs are its positive ones, then its negative ones.

        Args:
            calls: of the recorded step.
            truth: the true boxes of the batch.
            stage: index of the stage.
        """
        results = _only(calls[f'{stage}.get_targets'], f'{stage}.get_targets').arguments['sampling_results']
        device = results[0].pos_priors.device
        rows, assigned, first_roi, first_box = [], [], 0, 0
        for result, boxes in zip(results, truth.boxes, strict=True):
            rows.append(torch.arange(len(result.pos_priors), device=device) + first_roi)
            assigned.append(result.pos_assigned_gt_inds + first_box)
            first_roi += len(result.pos_priors) + len(result.neg_priors)
            first_box += len(boxes)
        return PositiveRoIs(torch.cat(rows), torch.cat(assigned), [len(each) for each in rows])

    def judge(self, stage: int) -> int:
        """The stage of this head that judges a stage of another one: that of the same index, or the last."""
        return min(stage, len(self.stages) - 1)

    def of_rois(self, stage: int, maps: tuple[Tensor, ...], rois: Tensor) -> RoIOutputs:
        """What one stage says of given RoIs.

        Args:
            stage: index of the stage; 0 without a cascade.
            maps: that the RoI head reads, (N, C, H, W) each.
            rois: (n, 5): index of the picture, box.
        """
        results = self._run(stage, maps, rois)
        return self.stages[stage].outputs(results['cls_score'], results['bbox_pred'])

    def _run(self, stage: int, maps: tuple[Tensor, ...], rois: Tensor) -> dict[str, Any]:
        del stage
        return self.head._bbox_forward(maps, rois)


@register_view(CascadeRoIHead)
class CascadeView(RoIView):
    """Of a RoI head of several stages."""

    @property
    def stage_weights(self) -> list[float]:
        """See :class:`RoIView`."""
        return list(self.head.stage_loss_weights)

    def _run(self, stage: int, maps: tuple[Tensor, ...], rois: Tensor) -> dict[str, Any]:
        return self.head._bbox_forward(stage, maps, rois)


_BRANCH = 'its box heads also read a {} branch, which is not run for it; build it without'


@register_view(HybridTaskCascadeRoIHead)
class HTCView(CascadeView):
    """Of Hybrid Task Cascade."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        if head.with_semantic and 'bbox' in head.semantic_fusion:
            self._why_not['given RoIs'] = _BRANCH.format('semantic')


@register_view(SCNetRoIHead)
class SCNetView(CascadeView):
    """Of SCNet."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        branches = [name for name, there in (('semantic', head.with_semantic), ('context', head.with_glbctx)) if there]
        if branches:
            self._why_not['given RoIs'] = _BRANCH.format(' and a '.join(branches))


class _RefusedRoIHead(RoIView):
    decisive: ClassVar[tuple[str, ...]] = ()


@register_view(SparseRoIHead)
class SparseView(_RefusedRoIHead):
    """Of Sparse R-CNN and QueryInst."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(RoIView.questions, SPARSE)


@register_view(MultiInstanceRoIHead)
class CrowdView(_RefusedRoIHead):
    """Of CrowdDet."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(RoIView.questions, CROWD)


def _training_calls(calls: list[Call]) -> list[Call]:
    """The calls of ``loss`` that train; samplers that look for hard RoIs (OHEM, Score-HLR) ask for a loss of each."""
    return [call for call in calls if call.arguments.get('reduction_override') != 'none']


def _only(calls: list[Call], point: str) -> Call:
    if len(calls) != 1:
        raise RuntimeError(f"the student's roi.{point} ran {len(calls)} times in a step, where once was expected")
    return calls[0]
