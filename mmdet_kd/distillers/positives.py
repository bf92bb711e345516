"""What a student's head takes for objects."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..heads import Truth
from ..knowledge import StudentKnowledge, box_heads
from ..losses.compares import Compares
from .box_heads import box_head_problems, is_sigmoid
from .boxes import select_class
from .pair import Model


class Positives(NamedTuple):
    """The K positive RoIs or priors of a head, those of the first picture first."""

    logits: Tensor  # (K, C + 1), the background last, or (K, C) of sigmoids
    boxes: Tensor  # (K, 4); predicted, xyxy, pixels. Their gradient goes to the head's regression alone
    truth: Tensor  # (K,); which of the batch's true boxes is assigned to each
    counts: list[int]  # how many there are in each picture
    weight: float  # what the losses of this stage count


class RoIPositives:
    """Those of each stage of a RoI head.

    Args:
        side: the student.
        who: asks; for messages.
    """

    kinds = ('roi',)

    def __init__(self, side: Model, who: str) -> None:
        roi_head = side.detector.roi_head
        heads = box_heads(roi_head)
        self.problems = box_head_problems(heads, who, side.name)
        self.num_classes, self.use_sigmoid = heads[0].num_classes, is_sigmoid(heads[0])
        self.score_kind: Compares = 'sigmoid scores' if self.use_sigmoid else 'softmax scores'
        self._who = who
        self._coders = [getattr(head, 'bbox_coder', None) for head in heads]
        self._weights = getattr(roi_head, 'stage_loss_weights', [1.0] * len(heads))

    def __call__(self, student: StudentKnowledge, truth: Truth) -> list[Positives]:
        """Those of each stage that ran."""
        return student.cached('roi.positives', lambda: list(self._find(student, truth)))

    def _find(self, student: StudentKnowledge, truth: Truth) -> Iterator[Positives]:
        stage = None
        for stage, outputs, targets in student.roi_stages():
            results = student.roi_sampling(stage)
            rows, assigned = _rows_of(results, truth)
            rois, deltas = targets.rois[rows, 1:].detach(), select_class(outputs.bbox_pred, targets.labels)[rows]
            boxes = self._coders[stage].decode(rois, deltas.float())
            counts = [len(result.pos_priors) for result in results]
            yield Positives(outputs.cls_score[rows], boxes, assigned, counts, self._weights[stage])
        if stage is None:
            raise RuntimeError(
                f"the student's box head did not call loss_and_target, which {self._who} observes; leave it out for "
                'this RoI head'
            )


class DensePositives:
    """Those of a dense head.

    How many there are is counted on the host, as most dense heads of mmdet do for their own losses.

    Args:
        side: the student.
        who: asks; for messages.
    """

    kinds = ('dense', 'dense.positives')

    def __init__(self, side: Model, who: str) -> None:
        view = side.dense
        self.problems = view.problems(('scores', 'boxes', 'positives'), who, side.name)
        if not self.problems:
            self.num_classes, self.use_sigmoid = view.num_classes, view.use_sigmoid
            self.score_kind = view.score_kind

    def __call__(self, student: StudentKnowledge, truth: Truth) -> list[Positives]:
        """A list of one."""
        return student.cached('dense.rows', lambda: [self._find(student, truth)])

    def _find(self, student: StudentKnowledge, truth: Truth) -> Positives:
        images, places, assigned = student.dense_positives(truth)
        return Positives(
            logits=student.dense.scores[images, places],
            boxes=student.dense.boxes_of(images, places),
            truth=assigned,
            counts=torch.bincount(images, minlength=len(truth.boxes)).tolist(),
            weight=1.0,
        )


def positives_of(side: Model, who: str) -> RoIPositives | DensePositives:
    """What finds the positives of a student of either family."""
    return RoIPositives(side, who) if hasattr(side.detector, 'roi_head') else DensePositives(side, who)


def _rows_of(results: list, truth: Truth) -> tuple[Tensor, Tensor]:
    """Which rows of a stage's RoIs are positive, and which of the batch's boxes is assigned to each.

    A picture's RoIs are its positive ones, then its negative ones.
    """
    device = results[0].pos_priors.device
    rows, assigned, first_roi, first_box = [], [], 0, 0
    for result, boxes in zip(results, truth.boxes, strict=True):
        rows.append(torch.arange(len(result.pos_priors), device=device) + first_roi)
        assigned.append(result.pos_assigned_gt_inds + first_box)
        first_roi += len(result.pos_priors) + len(result.neg_priors)
        first_box += len(boxes)
    return torch.cat(rows), torch.cat(assigned)
