"""What the RoI head of a two-stage detector says: of the RoIs that it trains on, and of RoIs that it is given.

A RoI head has a box head for each of its stages, one without a cascade. What is read of a step are the arguments of
each box head's ``loss``, which every RoI head calls once a stage, also one that does not call ``loss_and_target``
(PISA); the sampling results that its ``get_targets`` is given; and what each mask head's ``loss_and_target`` is given.

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
from .base import Call, Calls, HeadView, Point, find_view, known_heads, overridden, register_view
from .box import CROWD, QUESTIONS, SPARSE, BoxHeadView
from .mask import MaskView, RoIMasks
from .structures import RoIOutputs, RoITargets, Truth


class PositiveRoIs(NamedTuple):
    """The K positive RoIs of one stage, those of the first picture first."""

    rows: Tensor  # (K,); their places among the stage's RoIs
    truth: Tensor  # (K,); indices of the true boxes of the whole batch
    counts: list[int]  # how many there are in each picture


def box_heads(roi_head: nn.Module) -> list[nn.Module]:
    """The box head of each stage of a RoI head: one without a cascade, none without a box branch."""
    return _stages(roi_head.bbox_head if roi_head.with_bbox else [])


def mask_heads(roi_head: nn.Module) -> list[nn.Module]:
    """The mask head of each stage of a RoI head: one without a cascade, none without a mask branch."""
    return _stages(roi_head.mask_head if roi_head.with_mask else [])


def _stages(heads: nn.Module | list[nn.Module]) -> list[nn.Module]:
    return list(heads) if isinstance(heads, (nn.ModuleList, list)) else [heads]


#: What may be asked of the mask branch.
_MASKS = {
    'masks': 'a mask of each positive RoI',
    'given masks': 'a mask of each RoI that it is given, which is what a teacher is asked',
}
#: What decides what the mask branch says. A subclass that overrides one of these still answers of its boxes.
_DECISIVE_OF_MASKS = ('mask_loss', '_mask_forward')


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

    This class and its subclasses are the one place that names mmdet's private ``_bbox_forward`` and ``_mask_forward``.
    mmdet has no public call for a stage: ``forward`` runs both branches, and averages the stages of a cascade.
    """

    questions: ClassVar[Mapping[str, str]] = {
        **QUESTIONS,
        'given RoIs': 'anything of RoIs that it is given, which is what a teacher is asked',
        **_MASKS,
    }
    decisive: ClassVar[tuple[str, ...]] = ('loss', 'bbox_loss', '_bbox_forward')

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        if not head.with_bbox:
            self._why_not = dict.fromkeys(self.questions, 'it has no box branch')
            return
        no_masks = 'it has no mask branch' if not head.with_mask else self._other_masks()
        if no_masks is not None:
            self._why_not = dict.fromkeys(_MASKS, no_masks) | self._why_not

    def _other_masks(self) -> str | None:
        """What of the mask branch is not that of the known class of heads; None where all is."""
        base = next(base for base in type(self.head).__mro__ if base in known_heads())
        return overridden(type(self.head), base, _DECISIVE_OF_MASKS)

    @cached_property
    def mask_stages(self) -> list[MaskView]:
        """What the mask head of each stage says; none where there is no mask branch."""
        return _named([find_view(head, MaskView) for head in mask_heads(self.head)])

    @cached_property
    def stages(self) -> list[BoxHeadView]:
        """What the box head of each stage says."""
        return _named([find_view(head, BoxHeadView) for head in box_heads(self.head)])

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
        if question in self._why_not:
            return self._why_not[question]
        views, asked = self._asked_of_stages(question)
        return next((reason for view in views if (reason := view.why_not(asked)) is not None), None)

    def _asked_of_stages(self, question: str) -> tuple[list[HeadView], str]:
        """The views of the stages that have to answer too, and what they are asked."""
        if question in _MASKS:
            return list(self.mask_stages), 'masks'
        return (list(self.stages) if question in QUESTIONS else []), question

    def problems(self, questions: Collection[str], who: str, whose: str, **cure: str) -> list[str]:
        """See :class:`HeadView`. A stage that does not answer is one problem for each reason."""
        own = [question for question in questions if question in self._why_not]
        if own:
            return super().problems(own, who, whose, **cure)
        asked: dict[HeadView, dict[str, None]] = {}
        for question in questions:
            views, of_stage = self._asked_of_stages(question)
            for view in views:
                asked.setdefault(view, {})[of_stage] = None  # in order, and once
        return [problem for view, of_view in asked.items() for problem in view.problems(of_view, who, whose, **cure)]

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`HeadView`; what concerns the masks is recorded for a question about them alone."""
        points: dict[str, Point] = {}
        if set(questions) - set(_MASKS):
            names = ('loss', 'get_targets')
            points |= {f'{stage}.{name}': (view.head, name) for stage, view in enumerate(self.stages) for name in names}
        if 'masks' in questions:
            points |= {
                f'{stage}.mask.{name}': point
                for stage, view in enumerate(self.mask_stages)
                for name, point in view.points(['masks']).items()
            }
        return points

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

    def trained_masks(self, calls: Calls) -> Iterator[tuple[int, RoIMasks]]:
        """Index and masks of each stage whose mask head was trained in the recorded step; a cascade may stop early.

        Raises:
            RuntimeError: no mask head computed its loss.
        """
        of_stages = {stage: _of_masks(calls, stage) for stage in range(len(self.mask_stages))}
        if not any(of_stage['loss_and_target'] for of_stage in of_stages.values()):
            raise RuntimeError(f'no mask head of the {self.name} computed its loss in this step, which is observed')
        for stage, of_stage in of_stages.items():
            if of_stage['loss_and_target']:
                _only(of_stage['loss_and_target'], f'{stage}.mask.loss_and_target')
                yield stage, self.mask_stages[stage].masks(of_stage)

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

    def masks_of_rois(self, stage: int, maps: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """The masks (n, C, h, w) that one stage gives given RoIs; (n, 1, h, w) where one mask serves any class.

        Arguments are those of :meth:`of_rois`.
        """
        return self._run_masks(stage, maps, rois)['mask_preds']

    def mask_size(self, stage: int) -> tuple[int, int]:
        """Height and width of the masks of one stage. Its mask head is run once, on zeros."""
        view, extractor = self.mask_stages[stage], _stages(self.head.mask_roi_extractor)[stage]
        channels = extractor.out_channels if self.head.with_shared_head else view.head.in_channels
        some = next(view.head.parameters())
        features = some.new_zeros(1, channels, *extractor.roi_layers[0].output_size)
        if self.head.with_shared_head:
            features = self.head.shared_head(features)
        height, width = view.of_features(features).shape[-2:]
        return height, width

    def _run(self, stage: int, maps: tuple[Tensor, ...], rois: Tensor) -> dict[str, Any]:
        del stage
        return self.head._bbox_forward(maps, rois)

    def _run_masks(self, stage: int, maps: tuple[Tensor, ...], rois: Tensor) -> dict[str, Any]:
        del stage
        return self.head._mask_forward(maps, rois)


@register_view(CascadeRoIHead)
class CascadeView(RoIView):
    """Of a RoI head of several stages."""

    @property
    def stage_weights(self) -> list[float]:
        """See :class:`RoIView`."""
        return list(self.head.stage_loss_weights)

    def _run(self, stage: int, maps: tuple[Tensor, ...], rois: Tensor) -> dict[str, Any]:
        return self.head._bbox_forward(stage, maps, rois)

    def _run_masks(self, stage: int, maps: tuple[Tensor, ...], rois: Tensor) -> dict[str, Any]:
        return self.head._mask_forward(stage, maps, rois)


_BRANCH = 'its box heads also read a {} branch, which is not run for it; build it without'
_ONE_FOR_ALL = 'one mask head serves all its stages, and reads features that its box heads relay'


@register_view(HybridTaskCascadeRoIHead)
class HTCView(CascadeView):
    """Of Hybrid Task Cascade."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        if head.with_semantic and 'bbox' in head.semantic_fusion:
            self._why_not['given RoIs'] = _BRANCH.format('semantic')
        if head.with_semantic and 'mask' in head.semantic_fusion:
            self._why_not.setdefault('given masks', _BRANCH.replace('box', 'mask').format('semantic'))


@register_view(SCNetRoIHead)
class SCNetView(CascadeView):
    """Of SCNet."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(_MASKS, _ONE_FOR_ALL)

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


def _named(views: list) -> list:
    """The views of the stages, each with its stage in its name, for messages."""
    for stage, view in enumerate(views):
        view.name = f'{view.name} (stage {stage})'
    return views


def _of_masks(calls: Calls, stage: int) -> dict[str, list[Call]]:
    """The recorded calls of the mask head of one stage, as its view names them."""
    prefix = f'{stage}.mask.'
    return {name.removeprefix(prefix): of_name for name, of_name in calls.items() if name.startswith(prefix)}


def _training_calls(calls: list[Call]) -> list[Call]:
    """The calls of ``loss`` that train; samplers that look for hard RoIs (OHEM, Score-HLR) ask for a loss of each."""
    return [call for call in calls if call.arguments.get('reduction_override') != 'none']


def _only(calls: list[Call], point: str) -> Call:
    if len(calls) != 1:
        raise RuntimeError(f"the student's roi.{point} ran {len(calls)} times in a step, where once was expected")
    return calls[0]
