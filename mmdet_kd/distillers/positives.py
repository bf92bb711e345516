"""What a student's head takes for objects."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..knowledge import StudentKnowledge, Truth, box_heads
from .box_heads import box_head_problems, is_sigmoid
from .boxes import select_class
from .dense_boxes import DenseBoxes, dense_boxes_of
from .pair import Model
from .prior_maps import flatten_levels


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

    kind = 'roi'

    def __init__(self, side: Model, who: str) -> None:
        roi_head = side.detector.roi_head
        heads = box_heads(roi_head)
        self.problems = box_head_problems(heads, who, side.name)
        self.num_classes, self.use_sigmoid = heads[0].num_classes, is_sigmoid(heads[0])
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

    kind = 'dense'

    def __init__(self, side: Model, who: str) -> None:
        head = side.detector.bbox_head
        boxes = dense_boxes_of(head)
        self.problems = []
        if boxes is None:
            self.problems = [
                f"{who}: the student's {type(head).__name__} does not say which of its priors are positive, or what "
                'their boxes are, in a way that is known here; take an SSDHead, RetinaHead, FCOSHead, GFLHead or '
                'ATSSHead, or a two-stage detector'
            ]
            return
        self._boxes: DenseBoxes = boxes
        self.num_classes, self.use_sigmoid = head.num_classes, bool(head.use_sigmoid_cls)
        self._channels = head.cls_out_channels

    def __call__(self, student: StudentKnowledge, truth: Truth) -> list[Positives]:
        """A list of one."""
        return student.cached('dense.positives', lambda: [self._find(student, truth)])

    def _find(self, student: StudentKnowledge, truth: Truth) -> Positives:
        scores, labels = student.dense, student.dense_targets.labels
        images, places = torch.nonzero((labels >= 0) & (labels < self.num_classes), as_tuple=True)
        rows = images * labels.shape[1] + places
        priors, strides = self._boxes.priors([tuple(s.shape[-2:]) for s in scores], labels.device)
        prior, stride = priors[places], strides[places]
        deltas = flatten_levels(student.dense_regressions, self._boxes.channels)[rows].float()
        aims = self._boxes.assigned(student.dense_bbox_targets.flatten(0, 1)[rows], prior, stride)
        return Positives(
            logits=flatten_levels(scores, self._channels)[rows],
            boxes=self._boxes.predicted(deltas, prior, stride),
            truth=_nearest(aims, labels[images, places], images, truth),
            counts=torch.bincount(images, minlength=len(labels)).tolist(),
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


def _nearest(boxes: Tensor, labels: Tensor, images: Tensor, truth: Truth) -> Tensor:
    """Which of the batch's true boxes are these (K, 4), which rounding may have moved."""
    known = torch.nn.utils.rnn.pad_sequence(truth.boxes, batch_first=True, padding_value=float('inf'))
    classes = torch.nn.utils.rnn.pad_sequence(truth.labels, batch_first=True, padding_value=-1)
    if known.shape[1] == 0:
        return images  # no true box in the batch, so none of these either
    distances = (known[images] - boxes.detach()[:, None]).abs().sum(dim=-1)
    distances = distances.masked_fill(classes[images] != labels[:, None], float('inf'))
    counts = (classes >= 0).sum(dim=1)  # of the true boxes in each picture
    return distances.argmin(dim=1) + (counts.cumsum(0) - counts)[images]
