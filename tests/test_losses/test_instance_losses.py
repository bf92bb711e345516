"""The losses of instances against plain loops over their formulas."""

import math

import pytest
import torch
from helpers.numeric import finite_differences

from mmdet_kd.losses.functional import (
    class_distances,
    instance_feature_loss,
    instance_pairs,
    instance_relation_loss,
)


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def features_by_loops(feat_s, feat_t, valid):
    total, count, (_, channels, height, width) = 0.0, 0, feat_s.shape
    for k, counts in enumerate(valid.tolist()):
        if not counts:
            continue
        count += 1
        for y in range(height):
            for x in range(width):
                total += sum((feat_t[k, c, y, x].item() - feat_s[k, c, y, x].item()) ** 2 for c in range(channels))
    return total / (max(count, 1) * height * width)


def differences(feat_s, feat_t, valid):
    """Of each ordered pair of a group, how differently the two relate it."""
    for group_s, group_t, counts in zip(feat_s, feat_t, valid.tolist(), strict=True):
        known = [k for k, counted in enumerate(counts) if counted]
        psi = []
        for group in (group_s, group_t):
            apart = {(i, j): math.dist(group[i].tolist(), group[j].tolist()) for i in known for j in known if i != j}
            above = [distance for distance in apart.values() if distance > 0]
            mean = sum(above) / len(above) if above else 1.0
            psi.append({pair: distance / mean for pair, distance in apart.items()})
        yield from (abs(psi[0][pair] - psi[1][pair]) for pair in psi[0])


def relations_by_loops(feat_s, feat_t, valid):
    pairs = list(differences(feat_s, feat_t, valid))
    return sum(off**2 / 2 if off < 1 else off - 0.5 for off in pairs) / max(len(pairs), 1)


VALID = torch.tensor([True, False, True, True])


def test_features_value_and_gradient():
    feat_s, feat_t = numbers(4, 3, 2, 5).requires_grad_(), numbers(4, 3, 2, 5, seed=1).requires_grad_()
    loss = instance_feature_loss(feat_s, feat_t, VALID)
    assert loss.item() == pytest.approx(features_by_loops(feat_s, feat_t, VALID), rel=1e-12)
    assert instance_feature_loss(feat_s, feat_t, VALID, 6.0).item() == pytest.approx(loss.item() / 2, rel=1e-12)
    loss.backward()
    numeric = finite_differences(lambda f: features_by_loops(f, feat_t, VALID), feat_s)
    torch.testing.assert_close(feat_s.grad, numeric, rtol=1e-6, atol=1e-8)
    assert feat_t.grad is None


#: Of two groups: all, some, one alone, none.
GROUPS = {
    'all': [[True] * 4, [True] * 4],
    'some': [[True, False, True, True], [False, True, False, True]],
    'one': [[True, False, False, False], [True, True, True, False]],
    'none': [[False] * 4, [False] * 4],
}


@pytest.mark.parametrize('name', GROUPS)
def test_relations_value_and_gradient(name):
    """Of all, some pairs differ by more than 1, where the loss is no square. Widths may differ."""
    valid = torch.tensor(GROUPS[name])
    feat_s, feat_t = numbers(2, 4, 3).requires_grad_(), numbers(2, 4, 5, seed=1).requires_grad_()
    with torch.no_grad():
        feat_s[:, 2] = feat_s[:, 0] + 0.02
        feat_s[:, 1] *= 5
        feat_t[:, 3] *= 9
    loss = instance_relation_loss(feat_s, feat_t, valid)
    assert loss.item() == pytest.approx(relations_by_loops(feat_s, feat_t, valid), rel=1e-9, abs=1e-15)
    assert any(off > 1 for off in differences(feat_s, feat_t, valid)) or name != 'all'
    assert (loss.item() > 1e-3) == (name != 'none')
    loss.backward()
    numeric = finite_differences(lambda f: relations_by_loops(f, feat_t, valid), feat_s)
    torch.testing.assert_close(feat_s.grad, numeric, rtol=1e-5, atol=1e-8)
    assert feat_t.grad is None
    doubled = instance_relation_loss(feat_s, feat_t, valid, 0.5 * instance_pairs(valid).sum().clamp(min=1))
    assert doubled.item() == pytest.approx(2 * loss.item(), rel=1e-12)


def test_instances_that_are_alike_have_a_gradient():
    """Two of four are the same: their distance is 0, and has no share in the mean."""
    feat_s, feat_t = numbers(1, 4, 4), numbers(1, 4, 4, seed=1)
    feat_s[0, 1] = feat_s[0, 0]
    feat_s.requires_grad_()
    valid = torch.ones(1, 4, dtype=torch.bool)
    loss = instance_relation_loss(feat_s, feat_t, valid)
    assert loss.item() == pytest.approx(relations_by_loops(feat_s, feat_t, valid), rel=1e-12)
    loss.backward()
    numeric = finite_differences(lambda f: relations_by_loops(f, feat_t, valid), feat_s)
    assert feat_s.grad.isfinite().all()
    torch.testing.assert_close(feat_s.grad[0, 2:], numeric[0, 2:], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('same', [True, False])
def test_one_network_relates_as_itself(same):
    """All instances alike, or the teacher's own features, larger: relations do not know the scale."""
    feat = torch.ones(1, 3, 4) if same else numbers(1, 3, 4).float()
    feat_s = (3 * feat).requires_grad_()
    loss = instance_relation_loss(feat_s, feat, torch.ones(1, 3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-10)
    assert feat_s.grad.abs().max() < 1e-4


def test_near_instances_keep_their_distance_in_single_precision():
    """Which products of long vectors would lose."""
    far = torch.full((1, 3, 20000), 5.0)
    far[0, 1, 0] += 0.01
    far[0, 2, 0] += 0.03
    near = numbers(1, 3, 4).float()
    found = instance_relation_loss(far, near, torch.ones(1, 3, dtype=torch.bool))
    expected = relations_by_loops(far, near, torch.ones(1, 3, dtype=torch.bool))
    assert found.item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize('use_sigmoid', [True, False])
def test_class_distances_value_and_gradient(use_sigmoid):
    logits_s, logits_t = (2 * numbers(5, 4)).requires_grad_(), numbers(5, 4, seed=1).requires_grad_()

    def by_loops(logits):
        total = []
        for s, t in zip(logits.tolist(), logits_t.tolist(), strict=True):
            p_s, p_t = ([1 / (1 + math.exp(-z)) for z in row] for row in (s, t))
            if use_sigmoid:
                total.append(-sum(b * math.log(a) + (1 - b) * math.log(1 - a) for a, b in zip(p_s, p_t, strict=True)))
            else:
                p_s, p_t = ([math.exp(z) / sum(map(math.exp, row)) for z in row] for row in (s, t))
                total.append(-sum(b * math.log(a) for a, b in zip(p_s, p_t, strict=True)))
        return total

    found = class_distances(logits_s, logits_t, use_sigmoid)
    assert found.tolist() == pytest.approx(by_loops(logits_s), rel=1e-12)
    found.sum().backward()
    numeric = finite_differences(lambda z: sum(by_loops(z)), logits_s)
    torch.testing.assert_close(logits_s.grad, numeric, rtol=1e-6, atol=1e-8)
    assert logits_t.grad is None


def test_large_logits_have_finite_distances():
    logits_s = torch.tensor([[200.0, -200.0]], requires_grad=True)
    for use_sigmoid in (True, False):
        loss = class_distances(logits_s, -logits_s.detach(), use_sigmoid).sum()
        assert loss.item() == pytest.approx(400)
        loss.backward()
    assert logits_s.grad.isfinite().all()


def test_what_cannot_be_compared_is_refused():
    one = torch.ones(2, 1, 1, 1)
    with pytest.raises(ValueError, match='cannot be compared'):
        instance_feature_loss(one, one.repeat(1, 2, 1, 1), torch.ones(2))
    with pytest.raises(ValueError, match='cannot be compared'):
        instance_relation_loss(torch.ones(1, 2, 3), torch.ones(1, 3, 3), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match='must both be'):
        class_distances(torch.ones(2, 3), torch.ones(2, 4), True)


def test_no_instance_gives_zeros_in_the_graph():
    feat = torch.ones(3, 2, 2, 2, requires_grad=True)
    none = torch.zeros(3, dtype=torch.bool)
    loss = instance_feature_loss(feat, feat.detach() + 1, none)
    loss = loss + instance_relation_loss(feat.flatten(1)[None], feat.detach().flatten(1)[None], none[None])
    loss.backward()
    assert loss.item() == 0
    assert feat.grad.abs().sum() == 0
