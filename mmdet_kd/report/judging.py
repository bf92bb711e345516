"""Which detections are right, and the pictures that show where detectors differ."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor

from ..visualization import TRUTH, picture_with_boxes
from .findings import Drawn
from .looking import Looked

#: Overlap from which on a detection has found an object.
LEAST_OVERLAP = 0.5
#: Colours of boxes, which who sees no red and green can tell apart: blue, orange, yellow.
RIGHT, WRONG, MISSED = (0, 90, 255), (255, 90, 0), (255, 225, 0)


class Judged(NamedTuple):
    """Detections and objects of a picture: boxes (N, 4), xyxy in pixels of the image."""

    right: Tensor
    wrong: Tensor
    missed: Tensor

    @property
    def quality(self) -> float:
        """The F1 score, 2 right / (2 right + wrong + missed); 1 where there is nothing to find and nothing is found."""
        right, wrong, missed = map(len, self)
        total = 2 * right + wrong + missed
        return 2 * right / total if total else 1.0

    def __str__(self) -> str:
        right, wrong, missed = map(len, self)
        return f'{right} right, {wrong} wrong, {missed} missed'


def judge(found: InstanceData, objects: Sequence[Mapping[str, Any]]) -> Judged:
    """Which detections are right, which are wrong, and which objects are missed.

    Each detection, from the best score on, takes the object of its class that it overlaps most, if nobody has taken it
    and the overlap is large enough. One on an object that does not count (`ignore_flag`) is neither right nor wrong.

    Args:
        found: `bboxes` and `labels`, from the best score on.
        objects: `bbox`, `bbox_label` and `ignore_flag`, as mmdet's data sets give them.
    """
    truth = _boxes_of(objects)
    labels = torch.tensor([each['bbox_label'] for each in objects], dtype=torch.long)
    counts = torch.tensor([not each.get('ignore_flag') for each in objects], dtype=torch.bool)
    boxes = getattr(found.bboxes, 'tensor', found.bboxes).float()
    overlaps = bbox_overlaps(boxes, truth).masked_fill(found.labels[:, None] != labels, 0.0)
    free, right, wrong = counts.clone(), [], []
    for index, row in enumerate(overlaps):
        hits = row >= LEAST_OVERLAP
        if (hits & free).any():
            right.append(index)
            free[row.masked_fill(~(hits & free), -1.0).argmax()] = False
        elif not (hits & ~counts).any():
            wrong.append(index)
    return Judged(boxes[right], boxes[wrong], truth[free])


def _boxes_of(objects: Sequence[Mapping[str, Any]]) -> Tensor:
    return torch.tensor([each['bbox'] for each in objects], dtype=torch.float).reshape(-1, 4)


def most_different(looked: Looked, compared: Sequence[str], count: int) -> list[int]:
    """The pictures on which some arms differ most, whoever of them is right.

    How good each is, :attr:`Judged.quality` says. Pictures on which all are equally good come last.

    Args:
        looked: what was found.
        compared: titles of the arms.
        count: of pictures.
    """

    def difference(index: int) -> float:
        qualities = [judge(looked.found[title][index], looked.truths[index]).quality for title in compared]
        return max(qualities) - min(qualities)

    return sorted(looked.truths, key=lambda index: (-difference(index), index))[:count]


def side_by_side(looked: Looked, indices: Sequence[int]) -> dict[str, list[Drawn]]:
    """Pictures with the true boxes, and with those of each detector; by the names of their files."""
    drawn = {}
    for index in indices:
        truth, path = looked.truths[index], looked.paths[index]
        copies = [Drawn(TRUTH, _webp(path, {RIGHT: _boxes_of(truth).numpy()}), f'{len(truth)} objects')]
        for title in looked.titles:
            judged = judge(looked.found[title][index], truth)
            boxes = {MISSED: judged.missed.numpy(), WRONG: judged.wrong.numpy(), RIGHT: judged.right.numpy()}
            copies.append(Drawn(title, _webp(path, boxes), str(judged)))
        drawn[Path(path).name] = copies
    return drawn


def _webp(path: str, boxes: Mapping[tuple[int, int, int], np.ndarray]) -> bytes:
    picture = cv2.cvtColor(picture_with_boxes(path, boxes), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.webp', picture, [cv2.IMWRITE_WEBP_QUALITY, 70])
    return data.tobytes()
