"""The instances on which two detectors disagree most.

K instances are chosen in each of N pictures; where there are fewer, ``valid`` says which count. So all shapes are known
before anything is computed, and nothing waits for the device.

Source: Dai et al., CVPR 2021 (GID), section 3.1.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..heads import DensePredictions

#: How the disagreement of two lists of class scores is measured.
Disagreement = Literal['class', 'maximum']

_NONE = -1.0  # below every score


class Instances(NamedTuple):
    """K of each of N pictures, those with the highest scores first."""

    boxes: Tensor  # (N, K, 4), xyxy, pixels
    valid: Tensor  # (N, K), bool; the boxes of the others mean nothing


class Candidates(NamedTuple):
    """What instances are chosen from."""

    boxes: Tensor  # (N, m, 4), xyxy, pixels
    scores: Tensor  # (N, m), >= 0; below 0 where there is no candidate


@torch.no_grad()
def find_candidates(
    student: DensePredictions,
    teacher: DensePredictions,
    known: Tensor | None,
    count: int,
    by: Disagreement = 'class',
) -> Candidates:
    """The priors whose class scores the two sides disagree on most, with the box of the one that is surer.

    Args:
        student: what it predicts.
        teacher: what it predicts for the same priors.
        known: which priors (N, M) the teacher predicts for, as 0 and 1; None: all.
        count: of candidates in a picture, at most.
        by: 'class' is the paper's, the largest difference of a class's probabilities; 'maximum' that of the authors'
            code, the difference of the largest probabilities.
    """
    of_classes = [each.class_probabilities for each in (student, teacher)]
    surest_s, surest_t = (each.amax(dim=-1) for each in of_classes)
    scores = (of_classes[0] - of_classes[1]).abs().amax(dim=-1) if by == 'class' else (surest_s - surest_t).abs()
    if known is not None:
        scores = scores.masked_fill(known == 0, _NONE)
    scores, places = scores.topk(min(count, scores.shape[1]), dim=1)
    images = torch.arange(len(scores), device=scores.device)[:, None].expand_as(places)
    boxes_s, boxes_t = (
        each.boxes_of(images.flatten(), places.flatten()).view(*places.shape, 4) for each in (student, teacher)
    )
    surer = (surest_t > surest_s).gather(1, places)
    return Candidates(torch.where(surer[..., None], boxes_t, boxes_s), scores)


@torch.no_grad()
def choose_instances(
    candidates: Candidates, picture_sizes: Tensor, count: int, iou_threshold: float, min_size: float
) -> Instances:
    """The best candidates of each picture that do not overlap: clipped, filtered, suppressed, and cut off.

    Each round chooses the best candidate that is left, and suppresses what overlaps it. After ``count`` rounds, the
    chosen ones are the first of what non-maximum suppression keeps, whatever the class or the level.

    Args:
        candidates: of all pictures.
        picture_sizes: height and width of each picture (N, 2), pixels; boxes are clipped to it.
        count: K.
        iou_threshold: a candidate that overlaps a better one by more is suppressed.
        min_size: a box whose width or height is not above it is left out, pixels.
    """
    limits = picture_sizes.flip(1).repeat(1, 2)[:, None]  # x, y, x, y
    boxes = candidates.boxes.clamp(min=0).minimum(limits)
    large = ((boxes[..., 2:] - boxes[..., :2]) > min_size).all(dim=-1)
    left = candidates.scores.masked_fill(~large, _NONE)
    chosen, valid = [], []
    for _ in range(count):
        score, place = left.max(dim=1, keepdim=True)
        best = boxes.gather(1, place[..., None].expand(-1, -1, 4))
        chosen.append(best)
        valid.append(score >= 0)
        left = left.masked_fill(_overlaps(best, boxes) > iou_threshold, _NONE).scatter(1, place, _NONE)
    return Instances(torch.cat(chosen, dim=1), torch.cat(valid, dim=1))


def _overlaps(best: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union (N, m) of one box (N, 1, 4) with others (N, m, 4); of no area, 0."""
    # mmdet's copies a number to the device, which waits for it
    shared = (best[..., 2:].minimum(boxes[..., 2:]) - best[..., :2].maximum(boxes[..., :2])).clamp(min=0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(dim=-1) for each in (best, boxes)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-6)
