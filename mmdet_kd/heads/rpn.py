"""What the region proposal network of a two-stage detector says of its anchors."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from mmdet.models.dense_heads import CascadeRPNHead, EmbeddingRPNHead, GARPNHead, RPNHead, StageCascadeRPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.structures.bbox import cat_boxes, get_box_tensor
from torch import Tensor, nn

from .anchors import AnchorView
from .base import Calls, HeadView, Point, register_view
from .dense import DenseMaps
from .dense_predictions import DensePredictions
from .structures import RPNOutputs, RPNTargets

_QUESTIONS = {
    'objectness': 'which anchors hold an object',
    'deltas': 'how far each box is from its anchor',
    'anchors': 'where its anchors are',
    'targets': 'what its anchors are trained towards',
    'assign': 'which anchors it would train towards other boxes',
}


@register_view(RPNHead)
class RPNView(HeadView):
    """Of an RPN that scores a fixed grid of anchors and regresses deltas of them.

    Shapes: N pictures, A anchors a cell, M anchors of a picture over all levels, K scores of an anchor.

    Source: mmdet's ``RPNHead`` and ``AnchorHead.get_targets``.
    """

    questions: ClassVar[Mapping[str, str]] = _QUESTIONS

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        coder = getattr(head, 'bbox_coder', None)
        if coder is not None and coder.encode_size != 4:
            encodes = f'its {type(coder).__name__} encodes a box as {coder.encode_size} numbers, not 4'
            self._why_not.setdefault('deltas', encodes)

    @property
    def score_channels(self) -> int:
        """K: 1 where a sigmoid says whether there is an object, or 2 of a softmax, the object first."""
        return self.head.cls_out_channels

    @property
    def coder(self) -> Any:
        """What encodes a box relative to its anchor."""
        return self.head.bbox_coder

    @property
    def targets_are_boxes(self) -> bool:
        """Whether an anchor is trained towards a box, xyxy, pixels, and not towards deltas."""
        return bool(self.head.reg_decoded_bbox)

    @property
    def strides(self) -> list[tuple[int, int]]:
        """Of each level, in x and y."""
        return [tuple(stride) for stride in self.head.prior_generator.strides]

    def anchors(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> list[Tensor]:
        """The anchors (m, 4) of each level, xyxy, pixels, for maps of these heights and widths."""
        return [get_box_tensor(level) for level in self.head.prior_generator.grid_priors(sizes, device=device)]

    @cached_property
    def dense(self) -> AnchorView:
        """The same head as one that scores each anchor of one class, "object"."""
        return AnchorView(self.head)

    def predictions(self, outputs: RPNOutputs) -> DensePredictions:
        """What it predicts for its anchors, as the head that ``dense`` is of."""
        return DensePredictions(self.dense, DenseMaps(outputs.cls_scores, outputs.bbox_preds))

    def assign(self, calls: Calls, boxes: Sequence[Tensor]) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`. All anchors that the assigner finds count, not a sample of them."""
        return self.dense.assign(calls, boxes)

    def outputs(self, raw: Any) -> RPNOutputs:
        """What ``forward`` returned; the same in training and in eval mode."""
        scores, deltas = raw
        return RPNOutputs(list(scores), list(deltas))

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`HeadView`."""
        points: dict[str, Point] = {'forward': (self.head, 'forward')}
        if {'targets', 'assign'} & set(questions):
            points['get_targets'] = (self.head, 'get_targets')
        return points

    def targets(self, calls: Calls) -> RPNTargets:
        """What the anchors were trained towards in the recorded step, the levels joined."""
        (call,) = calls['get_targets']
        _, label_weights, bbox_targets, bbox_weights, avg_factor = call.result[:5]
        return RPNTargets(
            anchors=get_box_tensor(cat_boxes(call.arguments['anchor_list'][0])),
            label_weights=torch.cat(label_weights, dim=1),
            bbox_targets=torch.cat(bbox_targets, dim=1),
            bbox_weights=torch.cat(bbox_weights, dim=1),
            avg_factor=avg_factor,
        )


class _Refused(RPNView):
    """Of a head that answers nothing; so do its subclasses, whatever they override."""

    decisive: ClassVar[tuple[str, ...]] = ()


@register_view(GARPNHead)
class GuidedRPNView(_Refused):
    """Its anchors are outputs."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        _QUESTIONS, 'it predicts its anchors anew in each step, so those of the two sides are not the same'
    )


@register_view(CascadeRPNHead, StageCascadeRPNHead)
class CascadeRPNView(_Refused):
    """Its anchors are outputs of the stage before."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        _QUESTIONS, 'each of its stages moves the anchors of the next, so those of the two sides are not the same'
    )


@register_view(EmbeddingRPNHead)
class EmbeddingRPNView(_Refused):
    """Of Sparse R-CNN and QueryInst."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        _QUESTIONS, 'its proposals are parameters; it has no anchors, and scores nothing'
    )


@register_view(BaseDenseHead)
class DenseRPNView(_Refused):
    """Of the head of a one-stage detector in the place of an RPN, such as FCOS in mmdet's ``fcos-rpn``."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        _QUESTIONS, 'it is the head of a one-stage detector, which is not asked as an RPN; an RPNHead is'
    )
