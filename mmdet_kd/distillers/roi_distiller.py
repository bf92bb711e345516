"""Distilling the RoI head."""

from mmdet.registry import MODELS
from torch import Tensor

from ..errors import raise_if_any
from ..heads import RoIOutputs, RoITargets
from ..knowledge import Step, StudentKnowledge, TeacherKnowledge, box_heads
from .box_heads import box_head_problems, is_sigmoid, with_background
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
        DistillationError: the heads differ in classes, or one has no softmax classification or delta regression.
    """

    kinds = ('roi',)
    compares_classes = True
    own_loss = r'(s\d+\.)?loss_cls'

    def __init__(
        self,
        pair: ModelPair,
        loss_cls: dict | None = None,
        loss_bbox: dict | None = None,
        mu: float = 0.5,
        weight: float = 1.0,
    ) -> None:
        super().__init__(loss_cls, loss_bbox, mu, weight)
        self.problems += _head_problems(pair.student) + _head_problems(pair.teacher) or _class_problems(pair)
        raise_if_any(self.problems)
        heads_s, heads_t = (box_heads(side.detector.roi_head) for side in (pair.student, pair.teacher))
        judges = [heads_t[min(stage, len(heads_t) - 1)] for stage in range(len(heads_s))]
        self._sigmoid = [(is_sigmoid(s), is_sigmoid(t)) for s, t in zip(heads_s, judges, strict=True)]
        self._coders = [(s.bbox_coder, t.bbox_coder) for s, t in zip(heads_s, judges, strict=True)]
        raise_if_any(list(dict.fromkeys(p for coders in self._coders for p in scale_problems(pair, *coders))))
        self._decoded = [s.reg_decoded_bbox for s in heads_s]
        self._stage_weights = getattr(pair.student.detector.roi_head, 'stage_loss_weights', [1.0] * len(heads_s))

    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the RoI heads of this step; returns 'cls' and 'bbox', as configured, of a cascade summed."""
        del step
        losses: dict[str, Tensor] = {}
        for stage, outputs_s, targets in student.roi_stages():
            outputs_t = teacher.roi(stage, targets.rois)
            for part, loss in self._stage_losses(stage, outputs_s, outputs_t, targets).items():
                loss = loss * self._stage_weights[stage]
                losses[part] = losses[part] + loss if part in losses else loss
        if not losses:
            raise RuntimeError(
                "the student's box head did not call loss_and_target, which RoIDistiller observes; leave the "
                'RoIDistiller out for this RoI head'
            )
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
            if self._decoded[stage]:
                target = encode_targets(target, rois, targets.bbox_weights[:, 0] > 0, coder_s)
            pred_s = select_class(outputs_s.bbox_pred, targets.labels)
            pred_t = recode(select_class(outputs_t.bbox_pred, targets.labels), rois, coder_s, coder_t)
            sampled = mean_over_ranks(len(rois), device)
            losses['bbox'] = self.loss_bbox(pred_s, pred_t, target, targets.bbox_weights, avg_factor=sampled)
        return losses


def _head_problems(side: Model) -> list[str]:
    roi_head = getattr(side.detector, 'roi_head', None)
    if roi_head is None or not roi_head.with_bbox:
        return [f'RoIDistiller: the {side.name} has no RoI head with a box branch; leave this distiller out']
    problems = []
    if getattr(roi_head, 'with_semantic', False) or getattr(roi_head, 'with_glbctx', False):
        problems.append(
            f"RoIDistiller: the box heads of the {side.name}'s {type(roi_head).__name__} also read a semantic or "
            'context branch, which is not observed; build it without, or leave this distiller out'
        )
    return problems + box_head_problems(box_heads(roi_head), 'RoIDistiller', side.name)


def _class_problems(pair: ModelPair) -> list[str]:
    counts = [[head.num_classes for head in box_heads(s.detector.roi_head)] for s in (pair.student, pair.teacher)]
    if counts[0][0] == counts[1][0] or (pair.classes_by_name and counts[0][0] < counts[1][0]):
        return []
    return [
        f'RoIDistiller: the student knows {counts[0][0]} classes, the teacher {counts[1][0]}: take a teacher that was '
        "trained on the student's classes, write teacher=dict(classes_by_name=True, ...) if it knows all of these and "
        "more, or set num_classes of the student's bbox_head"
    ]
