"""Distilling the region proposal network."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..heads import RPNOutputs, rows_of
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from .boxes import encode_targets, recode, scale_problems
from .levels import stride_problems
from .pair import Model, ModelPair
from .prior_maps import at_anchors_of, on_the_grids_of, same_grids
from .response import ResponseDistiller, mean_over_ranks


@MODELS.register_module()
class RPNDistiller(ResponseDistiller):
    """Compares objectness and anchor regression on the anchors that the student sampled.

    Both sides have the same anchors, so the student's index the teacher's output. Where the teacher sees a larger
    picture, its anchors must cover the same regions of it, and its output is read where the student's anchors lie. A
    sigmoid objectness s counts as the two-class distribution [s, 1 - s], background last.

    Args:
        pair: the two sides; the detector fills it in.
        loss_cls: see :class:`ResponseDistiller`.
        loss_bbox: see :class:`ResponseDistiller`; positive anchors only.
        mu: see :class:`ResponseDistiller`.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the RPNs differ in levels, strides or anchors, or one of them has none.
    """

    kinds = ('rpn',)
    own_loss = 'loss_rpn_cls|rpn_loss_cls'
    columns = 2

    def __init__(
        self,
        pair: ModelPair,
        loss_cls: dict | None = None,
        loss_bbox: dict | None = None,
        mu: float | None = 0.5,
        weight: float = 1.0,
    ) -> None:
        super().__init__(loss_cls, loss_bbox, mu, weight)
        asked = ('objectness', 'deltas', 'anchors')
        problems = _rpn_problems(pair.student, (*asked, 'targets')) + _rpn_problems(pair.teacher, asked)
        self.problems += problems or _anchor_problems(pair)
        raise_if_any(self.problems)
        view_s, view_t = pair.student.rpn, pair.teacher.rpn
        self._strides = [(s[0], t[0]) for s, t in zip(view_s.strides, view_t.strides, strict=True)]
        self._coders = view_s.coder, view_t.coder
        self._channels = view_s.score_channels, view_t.score_channels
        self._targets_are_boxes = view_s.targets_are_boxes

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the RPNs of this step; returns 'cls' and 'bbox', as configured."""
        outputs_s, outputs_t, targets = student.rpn, teacher.rpn, student.rpn_targets
        outputs_t, valid = self._for_the_students_anchors(outputs_s, outputs_t, step.ratios)
        if valid is not None:
            targets = targets._replace(
                label_weights=targets.label_weights * valid, bbox_weights=targets.bbox_weights * valid[..., None]
            )
        avg_factor = mean_over_ranks(targets.avg_factor, targets.anchors.device)
        losses = {}
        if self.loss_cls is not None:
            logits = [
                two_class_logits(rows_of(outputs.cls_scores, channels).flatten(0, 1))
                for outputs, channels in zip((outputs_s, outputs_t), self._channels, strict=True)
            ]
            losses['cls'] = self.loss_cls(*logits, targets.label_weights.flatten(), avg_factor=avg_factor)
        if self.loss_bbox is not None:
            coder_s, coder_t = self._coders
            images = len(targets.label_weights)
            anchors = targets.anchors.repeat(images, 1)
            weight = targets.bbox_weights.flatten(0, 1)
            target = targets.bbox_targets.flatten(0, 1)
            if self._targets_are_boxes:
                target = encode_targets(target, anchors, weight[:, 0] > 0, coder_s)
            pred_s = rows_of(outputs_s.bbox_preds, 4).flatten(0, 1)
            pred_t = recode(rows_of(outputs_t.bbox_preds, 4).flatten(0, 1), anchors, coder_s, coder_t)
            losses['bbox'] = self.loss_bbox(pred_s, pred_t, target, weight, avg_factor=avg_factor)
        return losses

    def _for_the_students_anchors(
        self, outputs_s: RPNOutputs, outputs_t: RPNOutputs, ratios: Tensor | None
    ) -> tuple[RPNOutputs, Tensor | None]:
        """The teacher's outputs, and which anchors have one: all of them if None."""
        if ratios is not None:
            return at_anchors_of(outputs_s, outputs_t, self._strides, self._channels[1], ratios)
        if not same_grids(outputs_s.cls_scores, outputs_t.cls_scores):
            return on_the_grids_of(outputs_s, outputs_t, self._channels[1])
        return outputs_t, None


def two_class_logits(scores: Tensor) -> Tensor:
    """Objectness (n, 1), whose sigmoid is s, to logits (n, 2) whose softmax is [s, 1 - s]; (n, 2) stays as it is."""
    return torch.cat([scores, torch.zeros_like(scores)], dim=1) if scores.shape[1] == 1 else scores


def _rpn_problems(side: Model, questions: Sequence[str]) -> list[str]:
    if getattr(side.detector, 'rpn_head', None) is None:
        return [f'RPNDistiller: the {side.name} has no rpn_head; leave this distiller out']
    return side.rpn.problems(questions, 'RPNDistiller', side.name)


def _anchor_problems(pair: ModelPair) -> list[str]:
    views = pair.student.rpn, pair.teacher.rpn
    strides = [view.strides for view in views]
    cure = 'give both the same rpn_head.anchor_generator and levels, or leave the RPNDistiller out'
    same = len(strides[0]) == len(strides[1]) if pair.student_scale else strides[0] == strides[1]
    if not same:
        return [
            f"RPNDistiller: the student's RPN has {len(strides[0])} levels with strides {[s[0] for s in strides[0]]}, "
            f"the teacher's {len(strides[1])} with strides {[s[0] for s in strides[1]]}: {cure}"
        ]
    problems = scale_problems(pair, *(view.coder for view in views))
    for side, view in zip((pair.student, pair.teacher), views, strict=True):
        problems += stride_problems('RPNDistiller', side, view)
    scale = pair.student_scale or 1.0
    if pair.student_scale:
        cure = (
            f"give the student's anchor_generator the teacher's anchors in its own smaller picture (its scales times "
            f'{scale:g}, where the strides are the same), or leave the RPNDistiller out'
        )
    one_cell = [(1, 1)] * len(strides[0])
    of_one_cell = (view.anchors(one_cell, torch.device('cpu')) for view in views)
    differing = [
        f'the anchors of level {level} differ (student {_sizes(anchors_s)}, teacher {_sizes(anchors_t * scale)}'
        f'{_in_its_picture(pair)})'
        for level, (anchors_s, anchors_t) in enumerate(zip(*of_one_cell, strict=True))
        if anchors_s.shape != anchors_t.shape or not torch.allclose(anchors_s, anchors_t * scale, rtol=0.01)
    ]
    if differing:
        others = f', and so do those of {len(differing) - 1} more' if len(differing) > 1 else ''
        problems.append(f'RPNDistiller: {differing[0]}{others}: {cure}')
    return problems


def _in_its_picture(pair: ModelPair) -> str:
    return " in the student's smaller picture" if pair.student_scale else ''


def _sizes(anchors: Tensor) -> str:
    return ', '.join(f'{w:.0f}x{h:.0f}' for w, h in (anchors[:, 2:] - anchors[:, :2]).tolist())
