"""What a student's head takes for objects."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..heads import Truth
from ..knowledge import StudentKnowledge
from .boxes import select_class
from .pair import Model


class Positives(NamedTuple):
    """The K positive RoIs or priors of a head, those of the first picture first."""

    # What the head does not say is None. The gradient of the boxes goes to the head's regression alone.
    logits: Tensor | None  # (K, C + 1), the background last, or (K, C) of sigmoids
    boxes: Tensor | None  # (K, 4); predicted, xyxy, pixels
    truth: Tensor  # (K,); which of the batch's true boxes is assigned to each
    counts: list[int]  # how many there are in each picture
    weight: float  # what the losses of this stage count


class RoIPositives:
    """Those of each stage of a RoI head.

    Args:
        side: the student.
        who: asks; for messages.
        boxes: whether predicted boxes are asked for; otherwise scores are.
    """

    kinds = ('roi',)

    def __init__(self, side: Model, who: str, boxes: bool) -> None:
        view = side.roi
        self.problems = view.problems(('deltas' if boxes else 'scores', 'positives'), who, side.name)
        if not self.problems:
            self.num_classes, self.use_sigmoid = view.num_classes, view.use_sigmoid
            self.score_kind = view.score_kind
            self._coders, self._weights = [stage.coder for stage in view.stages], view.stage_weights
            if not boxes and len({stage.use_sigmoid for stage in view.stages}) > 1:
                self.problems.append(
                    f"{who}: some stages of the {side.name}'s {view.name} score by sigmoids, others by a softmax, and "
                    'one loss is for all: give the stages the same loss_cls'
                )

    def __call__(self, student: StudentKnowledge, truth: Truth) -> list[Positives]:
        """Those of each stage that ran."""
        return student.cached('roi.positives', lambda: list(self._find(student, truth)))

    def _find(self, student: StudentKnowledge, truth: Truth) -> Iterator[Positives]:
        for stage, outputs, targets in student.roi_stages():
            rows, assigned, counts = student.roi_positives(stage, truth)
            boxes, logits = None, None
            if outputs.bbox_pred is not None:
                deltas = select_class(outputs.bbox_pred, targets.labels)[rows]
                boxes = self._coders[stage].decode(targets.rois[rows, 1:].detach(), deltas.float())
            if outputs.cls_score is not None:
                logits = outputs.cls_score[rows]
            yield Positives(logits, boxes, assigned, counts, self._weights[stage])


class DensePositives:
    """Those of a dense head.

    How many there are is counted on the host, as most dense heads of mmdet do for their own losses.

    Args:
        side: the student.
        who: asks; for messages.
        boxes: whether predicted boxes are asked for; otherwise scores are.
    """

    kinds = ('dense', 'dense.positives')

    def __init__(self, side: Model, who: str, boxes: bool) -> None:
        view = side.dense
        self.problems = view.problems(('boxes' if boxes else 'scores', 'positives'), who, side.name)
        if not self.problems:
            self.num_classes, self.use_sigmoid = view.num_classes, view.use_sigmoid
            self.score_kind = view.score_kind

    def __call__(self, student: StudentKnowledge, truth: Truth) -> list[Positives]:
        """A list of one."""
        return student.cached('dense.rows', lambda: [self._find(student, truth)])

    def _find(self, student: StudentKnowledge, truth: Truth) -> Positives:
        images, places, assigned = student.dense_positives(truth)
        predicted = student.dense
        return Positives(
            logits=None if predicted.view.why_not('scores') else predicted.scores[images, places],
            boxes=None if predicted.view.why_not('boxes') else predicted.boxes_of(images, places),
            truth=assigned,
            counts=torch.bincount(images, minlength=len(truth.boxes)).tolist(),
            weight=1.0,
        )


def positives_of(side: Model, who: str, boxes: bool = False) -> RoIPositives | DensePositives:
    """What finds the positives of a student of either family, with their predicted boxes or their scores."""
    family = RoIPositives if hasattr(side.detector, 'roi_head') else DensePositives
    return family(side, who, boxes)
