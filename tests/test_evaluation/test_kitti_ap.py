"""KITTI's average precision: hand-worked cases, and a slow reference that follows its definition by plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmdet_kd.evaluation.kitti_ap import LEVELS, Frame, average_precision

EASY, MODERATE, HARD = LEVELS.values()
BOX = (0, 0, 50, 50)


def frame(objects=(), detections=(), dont_care=()):
    """Objects (box, neighbour, occluded, truncated), detections (box, score, own), regions."""
    return Frame(
        boxes=np.array([o[0] for o in objects], float).reshape(-1, 4),
        neighbour=np.array([o[1] for o in objects], bool),
        occluded=np.array([o[2] for o in objects], int),
        truncated=np.array([o[3] for o in objects], float),
        dont_care=np.array(dont_care, float).reshape(-1, 4),
        detections=np.array([d[0] for d in detections], float).reshape(-1, 4),
        scores=np.array([d[1] for d in detections], np.float32),
        own=np.array([d[2] for d in detections], bool),
    )


def plain(box=BOX, neighbour=False, occluded=0, truncated=0.0):
    return (box, neighbour, occluded, truncated)


def overlap(a, b, own_area=False):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    first, second = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (first if own_area else first + second - width * height)


def reference(frames, level, min_overlap):
    """(R40, R11) by loops over pictures, objects, detections and thresholds."""

    def object_state(f, i):
        low = f.boxes[i][3] - f.boxes[i][1] <= level.min_height
        hard = f.occluded[i] > level.max_occluded or f.truncated[i] > level.max_truncated
        return 'neutral' if f.neighbour[i] or low or hard else 'counts'

    def detection_state(f, j):
        if f.detections[j][3] - f.detections[j][1] < level.min_height:
            return 'neutral'
        return 'counts' if f.own[j] else 'other'

    def walk(f, threshold):
        assigned, tp_scores, fn = set(), [], 0
        for i in range(len(f.boxes)):
            chosen, best = None, None
            for j in range(len(f.detections)):
                state = detection_state(f, j)
                if state == 'other' or j in assigned or (threshold is not None and f.scores[j] < threshold):
                    continue
                shared = overlap(f.detections[j], f.boxes[i])
                if shared <= min_overlap:
                    continue
                if threshold is None:
                    if chosen is None or f.scores[j] > best:
                        chosen, best = j, f.scores[j]
                elif state == 'counts':
                    if chosen is None or detection_state(f, chosen) == 'neutral' or shared > best:
                        chosen, best = j, shared
                elif chosen is None:
                    chosen, best = j, shared
            if chosen is None:
                fn += object_state(f, i) == 'counts'
                continue
            assigned.add(chosen)
            if object_state(f, i) == 'counts' and detection_state(f, chosen) == 'counts':
                tp_scores.append(f.scores[chosen])
        fp = 0
        for j in range(len(f.detections)):
            wanted = detection_state(f, j) == 'counts' and (threshold is None or f.scores[j] >= threshold)
            if wanted and j not in assigned:
                fp += not any(overlap(f.detections[j], region, own_area=True) > min_overlap for region in f.dont_care)
        return tp_scores, fp

    count = sum(object_state(f, i) == 'counts' for f in frames for i in range(len(f.boxes)))
    if not count:
        return math.nan, math.nan
    scores = sorted((score for f in frames for score in walk(f, None)[0]), reverse=True)
    thresholds, recall = [], 0.0
    for i in range(len(scores)):
        left, is_last = (i + 1) / count, i == len(scores) - 1
        right = left if is_last else (i + 2) / count
        if right - recall < recall - left and not is_last:
            continue
        thresholds.append(scores[i])
        recall += 1 / 40
    precision = [0.0] * 41
    for k, threshold in enumerate(thresholds):
        walked = [walk(f, threshold) for f in frames]
        tp, fp = sum(len(found) for found, _ in walked), sum(wrong for _, wrong in walked)
        precision[k] = tp / (tp + fp) if tp + fp else 0.0
    envelope = [max(precision[k:]) for k in range(41)]
    return 100 * sum(envelope[1:]) / 40, 100 * sum(envelope[k] for k in range(0, 41, 4)) / 11


def test_three_of_four_found_and_one_wrong_worked_by_hand():
    # The scores of the three found are the thresholds; precision there is 1/1, 2/2 and 3/4.
    frames = [frame([plain()], [(BOX, score, True)]) for score in (0.9, 0.8, 0.6)]
    frames += [frame([plain()]), frame(detections=[(BOX, 0.7, True)])]
    assert average_precision(frames, EASY, 0.7) == pytest.approx(100 * (1 + 0.75) / 40)
    assert average_precision(frames, EASY, 0.7, positions=11) == pytest.approx(100 / 11)


def test_a_curve_over_all_recall_positions_worked_by_hand():
    # 80 found; 80 wrong, which score below 40 of those: precision is 1 up to recall 1/2, and rises to 1/2 beyond.
    frames = [frame([plain()], [(BOX, 1 - i / 200, True)]) for i in range(80)]
    frames += [frame(detections=[(BOX, 1 - 39.5 / 200, True)]) for _ in range(80)]
    assert average_precision(frames, EASY, 0.7) == pytest.approx(100 * (20 * 1 + 20 * 0.5) / 40)
    assert average_precision(frames, EASY, 0.7, positions=11) == pytest.approx(100 * (6 * 1 + 5 * 0.5) / 11)


def test_a_perfect_detector_reaches_100_from_41_objects_on():
    frames = [frame([plain()], [(BOX, 0.9, True)]) for _ in range(41)]
    assert average_precision(frames, EASY, 0.7) == pytest.approx(100)
    assert average_precision(frames[1:], EASY, 0.7) == pytest.approx(97.5)
    assert average_precision(frames[1:], EASY, 0.7, positions=11) == pytest.approx(100 * 10 / 11)


GOOD = [frame([plain()], [(BOX, 0.9, True)]) for _ in range(41)]
WRONG = (100, 100, 150, 150)


@pytest.mark.parametrize(
    ('extra', 'harms'),
    [
        (frame(detections=[(WRONG, 0.95, True)]), True),
        (frame(detections=[(WRONG, 0.95, False)]), False),  # another class
        (frame(detections=[((100, 100, 150, 139), 0.95, True)]), False),  # lower than easy's 40 pixels
        (frame(detections=[((100, 100, 150, 140), 0.95, True)]), True),
        (frame(detections=[(WRONG, 0.95, True)], dont_care=[(90, 90, 300, 300)]), False),
        # by the detection's area, not by the union: the region is far larger above, and covers 70 % and 72 % here
        (frame(detections=[(WRONG, 0.95, True)], dont_care=[(100, 100, 135, 150)]), True),
        (frame(detections=[(WRONG, 0.95, True)], dont_care=[(100, 100, 136, 150)]), False),
        (frame([plain(WRONG, neighbour=True)], [(WRONG, 0.95, True)]), False),
        (frame([plain(WRONG, occluded=1)], [(WRONG, 0.95, True)]), False),
        (frame([plain(WRONG, truncated=0.16)], [(WRONG, 0.95, True)]), False),
        # the second on a neutral object is wrong
        (frame([plain(WRONG, neighbour=True)], [(WRONG, 0.95, True)] * 2), True),
        # none of these is missed
        (frame([plain(WRONG, neighbour=True), plain(occluded=1), plain(truncated=0.2), plain((0, 0, 50, 40))]), False),
        (frame([plain((0, 0, 50, 41))]), True),
    ],
)
def test_what_is_neutral(extra, harms):
    assert (average_precision([*GOOD, extra], EASY, 0.7) < 99.99) == harms


def test_an_overlap_must_exceed_the_least():
    exact = frame([plain((0, 0, 100, 100))], [((0, 0, 100, 70), 0.9, True)])
    assert average_precision([exact] * 41, EASY, 0.7) == 0
    assert average_precision([exact] * 41, EASY, 0.69) == pytest.approx(100)


def test_the_levels_are_those_of_the_benchmark():
    assert [tuple(level) for level in LEVELS.values()] == [(40, 0, 0.15), (25, 1, 0.30), (25, 2, 0.50)]


def test_nothing_that_counts_is_no_number():
    assert math.isnan(average_precision([frame([plain(neighbour=True)], [(BOX, 0.9, True)])], EASY, 0.7))
    assert average_precision([frame([plain()])], EASY, 0.7) == 0


def random_frame(rng):
    """Objects in a crowd, detections near them with few different scores, so that there are many ties."""

    def boxes(count):
        corner, size = rng.uniform(0, 60, (count, 2)), rng.uniform(25, 80, (count, 2))
        return np.concatenate([corner, corner + size], 1).round()

    truth = boxes(rng.integers(1, 6))
    near = truth[rng.random(len(truth)) < 0.9].repeat(rng.integers(1, 3), 0)
    found = np.concatenate([near + rng.integers(-2, 3, near.shape), boxes(rng.integers(0, 2))])
    return Frame(
        boxes=truth,
        neighbour=rng.random(len(truth)) < 0.1,
        occluded=rng.choice(4, len(truth), p=[0.7, 0.1, 0.1, 0.1]),
        truncated=rng.choice([0.0, 0.2, 0.4, 0.6], len(truth), p=[0.7, 0.1, 0.1, 0.1]),
        dont_care=boxes(rng.integers(0, 2)),
        detections=found,
        scores=rng.integers(1, 30, len(found)).astype(np.float32) / 30,
        own=rng.random(len(found)) < 0.9,
    )


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('min_overlap', [0.5, 0.7])
def test_equals_the_loops(seed, min_overlap):
    rng = np.random.default_rng(seed)
    frames = [random_frame(rng) for _ in range(30)]
    for level in LEVELS.values():
        expected = reference(frames, level, min_overlap)
        assert 1 < expected[0] < 99
        found = [average_precision(frames, level, min_overlap, positions) for positions in (40, 11)]
        assert found == pytest.approx(expected)
