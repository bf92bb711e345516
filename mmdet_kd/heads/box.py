"""What the box head of one stage of a RoI head says.

Shapes: n RoIs of the whole batch, of which K are positive; C classes.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.bbox_heads import BBoxHead, DIIHead, MultiInstanceBBoxHead, SABLHead
from torch import Tensor, nn

from .base import Call, HeadView, register_view
from .structures import RoIOutputs, RoITargets

#: What may be asked of a box head, and of a RoI head of all its box heads.
QUESTIONS = {
    'scores': 'what class each RoI has',
    'deltas': 'how far each box is from its RoI, as 4 deltas',
    'labels': 'which class each RoI is trained towards',
    'positives': 'which true box each positive RoI is trained towards',
}

#: Why nothing is said of the heads of Sparse R-CNN and QueryInst, and of CrowdDet.
SPARSE = (
    'its box heads read a learned feature of each learned proposal, so it says nothing of the RoIs of another detector'
)
CROWD = 'it predicts several boxes for a RoI, and learns them in the order that fits best'


def with_background(scores: Tensor, use_sigmoid: bool) -> Tensor:
    """Scores as logits (n, C + 1) of a softmax, the background last.

    C sigmoids, given that at most one class is there, are the softmax of their logits and a 0 for the background.
    """
    return F.pad(scores, (0, 1)) if use_sigmoid else scores


@register_view(BBoxHead)
class BoxHeadView(HeadView):
    """Of the box head of one stage. How its layers come to the scores and deltas does not matter.

    Source: mmdet's ``BBoxHead``.
    """

    questions: ClassVar[Mapping[str, str]] = QUESTIONS
    decisive: ClassVar[tuple[str, ...]] = ('loss', 'loss_and_target', 'get_targets', '_get_targets_single')

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        for question, reason in self._reasons().items():
            self._why_not.setdefault(question, reason)

    def _reasons(self) -> dict[str, str]:
        """Why this one head, as it is configured, leaves questions without an answer."""
        reasons, coder = {}, self.head.bbox_coder
        if not self.head.with_cls:
            reasons['scores'] = 'it has no classification'
        elif self.use_sigmoid is None:
            reasons['scores'] = 'it does not classify by a softmax over C + 1 classes, or by C sigmoids'
        if not self.head.with_reg:
            reasons['deltas'] = 'it has no regression'
        elif coder.encode_size != 4:
            reasons['deltas'] = f'its {type(coder).__name__} encodes a box as {coder.encode_size} numbers'
        return reasons

    @property
    def num_classes(self) -> int:
        """C."""
        return self.head.num_classes

    @cached_property
    def use_sigmoid(self) -> bool | None:
        """Whether C sigmoids score the classes, and not a softmax over C + 1; None where neither does.

        A loss of mmdet's that chooses the number of scores also turns them into probabilities, which is tried on
        numbers. Any other loss leaves a softmax, whatever its ``use_sigmoid``: so the head predicts.
        """
        if not self.head.custom_cls_channels:
            return False
        loss, classes = self.head.loss_cls, self.num_classes
        logits = torch.linspace(-2, 3, loss.get_cls_channels(classes), device='cpu')[None]
        found = loss.get_activation(logits)
        if logits.shape[1] == classes and torch.allclose(found[:, :classes], logits.sigmoid()):
            return True
        is_softmax = found.shape == logits.shape and torch.allclose(found, logits.softmax(dim=1))
        return False if is_softmax and logits.shape[1] == classes + 1 else None

    @property
    def coder(self) -> Any:
        """What encodes a box relative to its RoI."""
        return self.head.bbox_coder

    @property
    def targets_are_boxes(self) -> bool:
        """Whether a RoI is trained towards a box, xyxy, pixels, and not towards deltas."""
        return bool(self.head.reg_decoded_bbox)

    def outputs(self, cls_score: Tensor, bbox_pred: Any) -> RoIOutputs:
        """What the head gave, in one form; None for what it does not say."""
        return RoIOutputs(
            cls_score if self.why_not('scores') is None else None, bbox_pred if self.why_not('deltas') is None else None
        )

    def targets(self, call: Call) -> RoITargets:
        """What the RoIs were trained towards, from the call of ``loss``."""
        given = call.arguments
        bbox = [given[name] if self.why_not('deltas') is None else None for name in ('bbox_targets', 'bbox_weights')]
        return RoITargets(given['rois'], given['labels'], given['label_weights'], *bbox)


@register_view(SABLHead)
class SABLView(BoxHeadView):
    """Of Side-Aware Boundary Localization: class scores of a softmax, and buckets."""

    cannot: ClassVar[Mapping[str, str]] = {
        'deltas': 'it says in which bucket each side of a box lies, and how far from it'
    }
    use_sigmoid = False

    def _reasons(self) -> dict[str, str]:
        return {}


class _RefusedBoxHead(BoxHeadView):
    decisive: ClassVar[tuple[str, ...]] = ()

    def _reasons(self) -> dict[str, str]:
        return {}


@register_view(DIIHead)
class DIIView(_RefusedBoxHead):
    """Of Sparse R-CNN and QueryInst."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(QUESTIONS, SPARSE)


@register_view(MultiInstanceBBoxHead)
class MultiInstanceView(_RefusedBoxHead):
    """Of CrowdDet."""

    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(QUESTIONS, CROWD)
