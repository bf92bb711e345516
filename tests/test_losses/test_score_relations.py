"""The losses of scores of dense heads against plain loops over their formulas."""

import math
import statistics

import pytest
import torch
from helpers.numeric import finite_differences

from mmdet_kd.losses import DISTLoss
from mmdet_kd.losses.functional import class_relations, disagreement_bce, row_relations, valuable_region


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def correlation(first, second, weights):
    """Pearson's, of two lists whose entries have weights; 0 where one does not vary."""
    total = sum(weights)
    means = [sum(w * value for w, value in zip(weights, values, strict=True)) / total for values in (first, second)]
    rows = list(zip(weights, first, second, strict=True))
    covariance = sum(w * (a - means[0]) * (b - means[1]) for w, a, b in rows)
    squares = sum(w * (a - means[0]) ** 2 for w, a, _ in rows) * sum(w * (b - means[1]) ** 2 for w, _, b in rows)
    return covariance / math.sqrt(squares) if squares > 1e-20 else 0.0


def rows_by_loops(s, t, weights):
    ones = [1.0] * s.shape[1]
    found = [w * (1 - correlation(a, b, ones)) for w, a, b in zip(weights, s.tolist(), t.tolist(), strict=True)]
    return sum(found) / max(sum(weights), 1)


def classes_by_loops(s, t, weights):
    return statistics.mean(
        1 - correlation(a, b, weights) for a, b in zip(s.T.tolist(), t.T.tolist(), strict=True)
    )  # fmt: skip


@pytest.mark.parametrize(
    ('relations', 'by_loops'), [(row_relations, rows_by_loops), (class_relations, classes_by_loops)]
)
def test_value_and_gradient(relations, by_loops):
    s, t = numbers(5, 4).requires_grad_(), numbers(5, 4, seed=1).requires_grad_()
    weights = torch.tensor([1.0, 0.0, 1.0, 2.0, 1.0], dtype=torch.float64)
    for weight in (None, weights):
        loss = relations(s, t, weight)
        plain = [1.0] * 5 if weight is None else weights.tolist()
        assert loss.item() == pytest.approx(by_loops(s, t, plain), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, s, retain_graph=True)
    numeric = finite_differences(lambda scores: by_loops(scores, t, weights.tolist()), s)
    torch.testing.assert_close(gradient, numeric, rtol=1e-5, atol=1e-7)
    assert torch.autograd.grad(loss, t, allow_unused=True) == (None,)
    # it is blind to the size and the offset of either side
    assert row_relations(s, 3 * s + 1).item() == pytest.approx(0, abs=1e-6)


def test_the_mean_over_the_rows_has_the_given_denominator():
    s, t = numbers(5, 4), numbers(5, 4, seed=1)
    assert row_relations(s, t, None, 10.0).item() == pytest.approx(row_relations(s, t).item() / 2, rel=1e-12)


@pytest.mark.parametrize('relations', [row_relations, class_relations])
def test_what_does_not_vary_counts_1_and_has_a_finite_gradient(relations):
    s = torch.full((3, 3), 0.5, dtype=torch.float64, requires_grad=True)
    loss = relations(s, numbers(3, 3))
    loss.backward()
    assert loss.item() == 1
    assert s.grad.isfinite().all()


@pytest.mark.parametrize(('weight', 'count'), [(None, 0), (torch.zeros(3), 3)])
def test_without_rows_it_is_0_and_attached(weight, count):
    s = torch.randn(count, 4, requires_grad=True)
    loss = DISTLoss(use_sigmoid=True)(s, torch.randn(count, 4), weight)
    loss.backward()
    assert loss.item() == 0
    assert s.grad.abs().sum() == 0


def test_one_row_has_no_relations_within_a_class():
    s, t = numbers(3, 4), numbers(3, 4, seed=1)
    assert class_relations(s, t, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)).item() == 0


@pytest.mark.parametrize('use_sigmoid', [False, True])
def test_the_module_weighs_its_two_terms(use_sigmoid):
    loss = DISTLoss(row_weight=2.0, class_weight=3.0, temperature=2.0, loss_weight=0.5, use_sigmoid=use_sigmoid)
    s, t = numbers(5, 4), numbers(5, 4, seed=1)
    scores = []
    for logits in (s, t):
        if use_sigmoid:
            scores.append(1 / (1 + (-logits / 2).exp()))
        else:
            scores.append((logits / 2).exp() / (logits / 2).exp().sum(dim=1, keepdim=True))
    expected = 2 * rows_by_loops(*scores, [1.0] * 5) + 3 * classes_by_loops(*scores, [1.0] * 5)
    assert loss(s, t).item() == pytest.approx(0.5 * 4 * expected, rel=1e-6)


@pytest.mark.parametrize('beta', [0.0, 0.5, 1.0, 2.0])
def test_disagreement_value_and_gradient(beta):
    s, t = numbers(4, 3).requires_grad_(), numbers(4, 3, seed=1).requires_grad_()

    def by_loops(logits):
        rows = []
        for own, others in zip(logits.tolist(), t.tolist(), strict=True):
            total = 0.0
            for z_s, z_t in zip(own, others, strict=True):
                p_s, p_t = (1 / (1 + math.exp(-z)) for z in (z_s, z_t))
                total -= abs(p_s - p_t) ** beta * (p_t * math.log(p_s) + (1 - p_t) * math.log(1 - p_s))
            rows.append(total)
        return rows

    rows = disagreement_bce(s, t, beta=beta)
    assert rows.tolist() == pytest.approx(by_loops(s), rel=1e-10)
    (gradient,) = torch.autograd.grad(rows.sum(), s, retain_graph=True)
    torch.testing.assert_close(gradient, finite_differences(lambda z: sum(by_loops(z)), s), rtol=1e-5, atol=1e-7)
    assert torch.autograd.grad(rows.sum(), t, allow_unused=True) == (None,)


@pytest.mark.parametrize('beta', [0.5, 1.0, 2.0])
def test_where_both_agree_disagreement_is_at_its_floor(beta):
    s = torch.tensor([[0.3, -30.0, 200.0]], requires_grad=True)
    rows = disagreement_bce(s, s.detach().clone(), beta=beta)
    rows.sum().backward()
    assert rows.item() == pytest.approx(0, abs=1e-15)
    assert s.grad.abs().max() < 1e-15


# The valuable region.

LEVELS = [8, 16]  # strides of two levels of 4 x 4 and 2 x 2 anchors, four strides wide


def anchors():
    levels = []
    for stride, cells in zip(LEVELS, (4, 2), strict=True):
        centres = [(stride * (x + 0.5), stride * (y + 0.5)) for y in range(cells) for x in range(cells)]
        levels.append(
            torch.tensor([[x - 2 * stride, y - 2 * stride, x + 2 * stride, y + 2 * stride] for x, y in centres])
        )
    return levels


def shared(a, g):
    width, height = (min(a[n + 2], g[n + 2]) - max(a[n], g[n]) for n in (0, 1))
    return max(width, 0) * max(height, 0)


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(a, g):
    return shared(a, g) / (area(a) + area(g) - shared(a, g))


def centre_distance(a, g):
    return sum(((a[n] + a[n + 2]) / 2 - (g[n] + g[n + 2]) / 2) ** 2 for n in (0, 1))


def region_by_loops(levels, boxes, overlap, alpha=0.25, nearest=9):
    levels = [level.tolist() for level in levels]
    worth = [0.0] * sum(map(len, levels))
    for g in boxes:
        chosen = []
        for level in levels:
            chosen += [iou(a, g) for a in sorted(level, key=lambda a: centre_distance(a, g))[:nearest]]
        threshold = statistics.mean(chosen) + statistics.stdev(chosen)
        for index, a in enumerate(a for level in levels for a in level):
            diagonal = sum((max(a[n + 2], g[n + 2]) - min(a[n], g[n])) ** 2 for n in (0, 1))
            inside = iou(a, g) if overlap == 'diou' else shared(a, g) / area(a)
            if alpha * threshold <= inside - centre_distance(a, g) / diagonal < threshold:
                worth[index] = max(worth[index], iou(a, g))
    return worth


@pytest.mark.parametrize('overlap', ['diou', 'of anchor'])
def test_the_valuable_region(overlap):
    """Two pictures, of two boxes and of one; all distances of centres are different."""
    pictures = [[[3.0, 1.0, 24.0, 19.0], [10.0, 9.0, 31.0, 29.5]], [[-20.0, -10.0, 60.0, 50.0]]]
    boxes = torch.zeros(2, 2, 4)
    boxes[0], boxes[1, 0] = torch.tensor(pictures[0]), torch.tensor(pictures[1][0])
    is_box = torch.tensor([[True, True], [True, False]])
    found = valuable_region(anchors(), boxes, is_box, overlap=overlap)
    expected = [region_by_loops(anchors(), own, overlap) for own in pictures]
    assert [sum(worth > 0 for worth in own) for own in expected] != [0, 0]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-7)


def test_the_two_overlaps_choose_other_anchors():
    boxes = torch.tensor([[[-20.0, -10.0, 60.0, 50.0]]])
    found = [
        valuable_region(anchors(), boxes, torch.ones(1, 1).bool(), overlap=name) > 0 for name in ('diou', 'of anchor')
    ]
    assert not torch.equal(*found)


@pytest.mark.parametrize('count', [0, 2])
def test_without_a_box_nothing_is_valuable(count):
    found = valuable_region(anchors(), torch.zeros(3, count, 4), torch.zeros(3, count, dtype=torch.bool))
    assert found.shape == (3, 20)
    assert not found.any()
