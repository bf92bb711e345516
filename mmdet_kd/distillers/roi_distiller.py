"""Distilling the RoI head."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..heads import RoIOutputs, RoITargets, with_background
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge
from .base import call_problems
from .boxes import encode_targets, recode, scale_problems, select_class
from .pair import Model, ModelPair
from .response import ResponseDistiller, mean_over_ranks


@MODELS.register_module()
class RoIDistiller(ResponseDistiller):
    """Has the teacher's RoI head score the RoIs that the student sampled, on the teacher's features.

    Serves every stage of a cascade: a stage is judged by the teacher's stage of the same index, or by its last, and
    counts with the weight that the student's own losses of that stage have.
    Other box coders, and class-specific against class-agnostic regression, are brought to the student's encoding.

    Args:
        pair: the two sides; the detector fills it in.
        loss_cls: see :class:`ResponseDistiller`.
        loss_bbox: see :class:`ResponseDistiller`; positive RoIs only, for their ground-truth class.
        mu: see :class:`ResponseDistiller`.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the heads differ in classes, or one does not say what the losses compare.
    """

    kinds = ('roi',)
    compares_classes = True
    own_loss = r'(s\d+\.)?loss_cls'

    def __init__(
        self,
        pair: ModelPair,
        loss_cls: dict | None = None,
        loss_bbox: dict | None = None,
        mu: float | None = 0.5,
        weight: float = 1.0,
    ) -> None:
        super().__init__(loss_cls, loss_bbox, mu, weight)
        scores = ('scores',) if loss_cls is not None else ()
        problems = _head_problems(pair.student, ('labels', *scores), loss_bbox is not None)
        problems += _head_problems(pair.teacher, ('given RoIs', *scores), loss_bbox is not None)
        self.problems += problems or _class_problems(pair)
        raise_if_any(self.problems)
        view_s, view_t = pair.student.roi, pair.teacher.roi
        stages = [(view, view_t.stages[view_t.judge(stage)]) for stage, view in enumerate(view_s.stages)]
        self._stage_weights = view_s.stage_weights
        if scores:
            logits = torch.zeros(1, view_s.num_classes + 1)
            raise_if_any(call_problems('loss_cls', lambda: self.loss_cls(logits, logits, avg_factor=1.0)))
            self._sigmoid = [(s.use_sigmoid, t.use_sigmoid) for s, t in stages]
        if loss_bbox is not None:
            self._coders = [(s.coder, t.coder) for s, t in stages]
            self._targets_are_boxes = [s.targets_are_boxes for s, _ in stages]
            raise_if_any(list(dict.fromkeys(p for coders in self._coders for p in scale_problems(pair, *coders))))

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the RoI heads of this step; returns 'cls' and 'bbox', as configured, of a cascade summed."""
        del step
        losses: dict[str, Tensor] = {}
        for stage, outputs_s, targets in student.roi_stages():
            outputs_t = teacher.roi(stage, targets.rois)
            for part, loss in self._stage_losses(stage, outputs_s, outputs_t, targets).items():
                loss = loss * self._stage_weights[stage]
                losses[part] = losses[part] + loss if part in losses else loss
        return losses

    def _stage_losses(
        self, stage: int, outputs_s: RoIOutputs, outputs_t: RoIOutputs, targets: RoITargets
    ) -> dict[str, Tensor]:
        device = targets.rois.device
        losses = {}
        if self.loss_cls is not None:
            sampled = mean_over_ranks((targets.label_weights > 0).sum(), device)
            logits = [
                with_background(outputs.cls_score, sigmoid)
                for outputs, sigmoid in zip((outputs_s, outputs_t), self._sigmoid[stage], strict=True)
            ]
            losses['cls'] = self.loss_cls(*logits, targets.label_weights, avg_factor=sampled)
        if self.loss_bbox is not None:
            coder_s, coder_t = self._coders[stage]
            rois, target = targets.rois[:, 1:], targets.bbox_targets
            if self._targets_are_boxes[stage]:
                target = encode_targets(target, rois, targets.bbox_weights[:, 0] > 0, coder_s)
            pred_s = select_class(outputs_s.bbox_pred, targets.labels)
            pred_t = recode(select_class(outputs_t.bbox_pred, targets.labels), rois, coder_s, coder_t)
            sampled = mean_over_ranks(len(rois), device)
            losses['bbox'] = self.loss_bbox(pred_s, pred_t, target, targets.bbox_weights, avg_factor=sampled)
        return losses


def _head_problems(side: Model, questions: tuple[str, ...], with_deltas: bool) -> list[str]:
    if getattr(side.detector, 'roi_head', None) is None:
        return [f'RoIDistiller: the {side.name} has no RoI head with a box branch; leave this distiller out']
    problems = side.roi.problems(questions, 'RoIDistiller', side.name)
    if with_deltas and not problems:
        cure = 'Leave loss_bbox out, or take another head'
        problems = side.roi.problems(('deltas',), 'RoIDistiller', side.name, cure=cure)
    return problems


def _class_problems(pair: ModelPair) -> list[str]:
    student, teacher = pair.student.roi.num_classes, pair.teacher.roi.num_classes
    if student == teacher or (pair.classes_by_name and student < teacher):
        return []
    return [
        f'RoIDistiller: the student knows {student} classes, the teacher {teacher}: take a teacher that was '
        "trained on the student's classes, write teacher=dict(classes_by_name=True, ...) if it knows all of these and "
        "more, or set num_classes of the student's bbox_head"
    ]
