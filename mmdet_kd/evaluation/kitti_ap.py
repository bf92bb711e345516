"""Average precision of KITTI's 2D object benchmark, for one class at one level of difficulty.

As the benchmark's development kit defines it (Geiger et al., CVPR 2012), in numpy:

* An object counts if it is visible and large enough for the level. One that is not, or is of a neighbouring class, is
  neutral: what finds it is neither right nor wrong.
* A detection that is lower than the level's height, of whatever class, is neutral: it may take an object, which is then
  neither found nor missed.
* A detection that no object takes, and of which a large enough share lies in a DontCare region, is not wrong.
* Precision is taken at up to 41 scores, those at which recall comes closest to 0, 1/40, ..., 1. With fewer than 41
  objects that count there are fewer scores, and not even a perfect detector reaches 100.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

_POINTS = 41


class Level(NamedTuple):
    """What an object must be to count.

    Args:
        min_height: of its box in pixels; an object must be higher, a detection as high.
        max_occluded: KITTI's degree, 0 to 3.
        max_truncated: share that lies outside the picture.
    """

    min_height: float
    max_occluded: int
    max_truncated: float


LEVELS = {'easy': Level(40, 0, 0.15), 'moderate': Level(25, 1, 0.30), 'hard': Level(25, 2, 0.50)}


@dataclass
class Frame:
    """What is known of a picture, from the view of one class.

    Args:
        boxes: (n, 4) objects of the class and its neighbours: x1, y1, x2, y2.
        neighbour: (n,) bool, whether it is of a neighbouring class.
        occluded: (n,) degree.
        truncated: (n,) share.
        dont_care: (r, 4) regions.
        detections: (m, 4) of all classes.
        scores: (m,).
        own: (m,) bool, whether a detection is of the class.
    """

    boxes: np.ndarray
    neighbour: np.ndarray
    occluded: np.ndarray
    truncated: np.ndarray
    dont_care: np.ndarray
    detections: np.ndarray
    scores: np.ndarray
    own: np.ndarray


def average_precision(frames: list[Frame], level: Level, min_overlap: float, positions: int = 40) -> float:
    """Average precision in percent; nan if no object counts at this level.

    Args:
        frames: the pictures.
        level: of difficulty.
        min_overlap: what the intersection over union of an object and a detection, and the share of a detection in a
            DontCare region, must exceed.
        positions: of recall: 40, without that at 0; or 11, the original ones.
    """
    matchings = [_Matching(frame, level, min_overlap) for frame in frames]
    count = sum(int(matching.counts.sum()) for matching in matchings)
    if count == 0:
        return float('nan')
    found = [matching.found_scores() for matching in matchings]
    thresholds = _thresholds(np.concatenate(found), count)
    right, wrong = np.sum([matching.right_and_wrong(thresholds) for matching in matchings], axis=0)
    precision = np.zeros(_POINTS)
    precision[: len(thresholds)] = right / np.maximum(right + wrong, 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    points = precision[1:] if positions == 40 else precision[::4]
    return float(100 * points.mean())


class _Matching:
    """The objects and detections of a picture that play a part for a class at a level."""

    def __init__(self, frame: Frame, level: Level, min_overlap: float) -> None:
        too_low = _heights(frame.detections) < level.min_height
        part = frame.own | too_low
        detections = frame.detections[part]
        self.scores = frame.scores[part]
        self.neutral = too_low[part]
        self.counts = ~(
            frame.neighbour
            | (frame.occluded > level.max_occluded)
            | (frame.truncated > level.max_truncated)
            | (_heights(frame.boxes) <= level.min_height)
        )
        intersection, areas = _intersection(frame.boxes, detections), _areas(detections)
        union = _areas(frame.boxes)[:, None] + areas - intersection
        self.overlaps = _share(intersection, union)
        self.close = self.overlaps > min_overlap
        absorbed = _share(_intersection(frame.dont_care, detections), areas[None]) > min_overlap
        self.may_be_wrong = ~self.neutral & ~absorbed.any(0)

    def found_scores(self) -> np.ndarray:
        """Scores of the detections that find an object, if each takes the detection with the highest score."""
        free = np.ones(len(self.scores), bool)
        found = []
        for close, counts in zip(self.close, self.counts, strict=True):
            candidates = np.flatnonzero(close & free)
            if len(candidates):
                best = candidates[self.scores[candidates].argmax()]
                free[best] = False
                if counts and not self.neutral[best]:
                    found.append(self.scores[best])
        return np.array(found)

    def right_and_wrong(self, thresholds: np.ndarray) -> np.ndarray:
        """How many detections are right, and wrong, (2, t), among those that reach each of t scores.

        Here an object takes the detection that overlaps it most, a neutral one only if there is no other.
        """
        free = self.scores >= thresholds[:, None]
        right = np.zeros(len(thresholds), int)
        rows = np.arange(len(thresholds))
        # A neutral detection ranks below any other that is close, the first of several above the rest.
        ranks = np.where(self.neutral, -1.0 - np.arange(len(self.scores)), self.overlaps)
        for close, counts, rank in zip(self.close, self.counts, ranks, strict=True):
            candidates = free & close
            if not candidates.any():
                continue
            best = np.where(candidates, rank, -np.inf).argmax(1)
            taken = candidates[rows, best]
            free[rows[taken], best[taken]] = False
            if counts:
                right += taken & ~self.neutral[best]
        return np.stack([right, (free & self.may_be_wrong).sum(1)])


def _thresholds(scores: np.ndarray, count: int) -> np.ndarray:
    """The scores at which recall comes closest to the next of its 41 values."""
    scores = np.sort(scores)[::-1]
    chosen, wanted = [], 0.0
    for index, score in enumerate(scores, start=1):
        last = index == len(scores)
        if not last and (index + 1) / count - wanted < wanted - index / count:
            continue
        chosen.append(score)
        wanted += 1 / (_POINTS - 1)
    return np.array(chosen)


def _heights(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 3] - boxes[:, 1]


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _intersection(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Areas that n boxes share with m others, (n, m)."""
    top_left = np.maximum(boxes[:, None, :2], others[:, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[:, 2:])
    return np.clip(bottom_right - top_left, 0, None).prod(-1)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
