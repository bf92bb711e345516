"""The soft classification loss of Chen et al. against plain loops."""

import math

import pytest
import torch
from helpers.numeric import finite_differences

from mmdet_kd.losses.functional import class_weighted_soft_cross_entropy as soft_cross_entropy

OPTIONS = [(1.5, 1.0), (1.0, 1.0), (0.0, 1.0), (3.0, 2.5), (1.5, 0.5)]


def logits(rows=5, classes=4, seed=0):
    return torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2


def by_loops(logits_s, logits_t, background_weight, temperature):
    """L_i = -sum_c w_c P_t^c log P_s^c, as it is written."""
    rows = []
    for z_s, z_t in zip(logits_s.tolist(), logits_t.tolist(), strict=True):
        total_s = sum(math.exp(z / temperature) for z in z_s)
        total_t = sum(math.exp(z / temperature) for z in z_t)
        loss = 0.0
        for c in range(len(z_s)):
            weight = background_weight if c == len(z_s) - 1 else 1.0
            p_s = math.exp(z_s[c] / temperature) / total_s
            p_t = math.exp(z_t[c] / temperature) / total_t
            loss -= weight * p_t * math.log(p_s)
        rows.append(loss)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(('background_weight', 'temperature'), OPTIONS)
def test_value_is_the_loops(background_weight, temperature):
    z_s, z_t = logits(seed=1), logits(seed=2)
    loss = soft_cross_entropy(z_s, z_t, background_weight=background_weight, temperature=temperature)
    torch.testing.assert_close(loss, by_loops(z_s, z_t, background_weight, temperature), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(('background_weight', 'temperature'), OPTIONS)
def test_gradient_is_the_loops(background_weight, temperature):
    z_s, z_t = logits(3, seed=1).requires_grad_(), logits(3, seed=2)
    row_weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    def loops(z):
        return (by_loops(z, z_t, background_weight, temperature) * row_weight).sum()

    loss = soft_cross_entropy(z_s, z_t, background_weight=background_weight, temperature=temperature)
    (loss * row_weight).sum().backward()
    torch.testing.assert_close(z_s.grad, finite_differences(loops, z_s), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(('background_weight', 'temperature'), OPTIONS)
def test_gradcheck(background_weight, temperature):
    z_t = logits(3, seed=2)
    assert torch.autograd.gradcheck(
        lambda z: soft_cross_entropy(z, z_t, background_weight=background_weight, temperature=temperature),
        logits(3, seed=1).requires_grad_(),
    )


def test_by_hand():
    # student softmax(0, ln 3) = (1/4, 3/4); teacher softmax(0, 0) = (1/2, 1/2); background last, w = 1.5
    # L = -(1/2) ln(1/4) - 1.5 (1/2) ln(3/4) = 0.693147 + 0.215762 = 0.908909
    z_s, z_t = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2)
    assert soft_cross_entropy(z_s, z_t).item() == pytest.approx(0.908909, abs=1e-6)


def test_background_weight_sits_on_the_class_inside_the_sum():
    """Also a row that is foreground to the teacher pays more for its share of background, and none pays 1.5 times."""
    z_s, z_t = logits(seed=1), logits(seed=2)
    z_t[0, 0] += 5  # certainly foreground
    z_t[1, -1] += 5  # certainly background
    plain = soft_cross_entropy(z_s, z_t, background_weight=1.0)
    weighted = soft_cross_entropy(z_s, z_t, background_weight=1.5)
    background = -torch.softmax(z_t, 1)[:, -1] * torch.log_softmax(z_s, 1)[:, -1]
    torch.testing.assert_close(weighted - plain, 0.5 * background)
    assert (weighted > plain).all()
    assert (weighted < 1.5 * plain).all()


def test_background_is_the_last_class():
    z_s, z_t = torch.zeros(2, 3), torch.tensor([[0.0, 0.0, 50.0], [50.0, 0.0, 0.0]])
    ratio = soft_cross_entropy(z_s, z_t, background_weight=2.0) / soft_cross_entropy(z_s, z_t, background_weight=1.0)
    assert ratio.tolist() == pytest.approx([2.0, 1.0])


def test_equal_to_the_teacher_is_its_entropy_and_stationary():
    """With equal weights, cross entropy is least where the student equals the teacher."""
    z_t = logits()
    z_s = z_t.clone().requires_grad_()
    loss = soft_cross_entropy(z_s, z_t, background_weight=1.0)
    loss.sum().backward()
    torch.testing.assert_close(loss.detach(), torch.distributions.Categorical(logits=z_t).entropy())
    torch.testing.assert_close(z_s.grad, torch.zeros_like(z_t), rtol=0, atol=1e-12)
    assert (soft_cross_entropy(logits(seed=3), z_t, background_weight=1.0) > loss).all()


def test_hard_teacher_is_plain_cross_entropy():
    z_s, labels = logits(rows=4), torch.tensor([0, 1, 2, 3])
    z_t = torch.nn.functional.one_hot(labels, 4).double() * 1e3
    expected = torch.nn.functional.cross_entropy(z_s, labels, reduction='none')
    expected[3] *= 1.5
    torch.testing.assert_close(soft_cross_entropy(z_s, z_t), expected)


def test_a_shift_of_the_logits_changes_nothing():
    z_s, z_t = logits(seed=1), logits(seed=2)
    torch.testing.assert_close(soft_cross_entropy(z_s + 300, z_t - 300), soft_cross_entropy(z_s, z_t))


def test_teacher_gets_no_gradient():
    z_s, z_t = logits(seed=1).requires_grad_(), logits(seed=2).requires_grad_()
    soft_cross_entropy(z_s, z_t).sum().backward()
    assert z_t.grad is None
    assert z_s.grad.abs().sum() > 0


def test_inputs_are_left_alone():
    z_s, z_t = logits(seed=1), logits(seed=2)
    before = z_s.clone(), z_t.clone()
    soft_cross_entropy(z_s, z_t, background_weight=3.0, temperature=2.0)
    assert torch.equal(z_s, before[0])
    assert torch.equal(z_t, before[1])


def test_extreme_logits_stay_finite():
    z = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = soft_cross_entropy(z, -z.detach())
    loss.sum().backward()
    assert loss.isfinite().all()
    assert z.grad.isfinite().all()


def test_no_rows():
    z_s = torch.zeros(0, 4, requires_grad=True)
    loss = soft_cross_entropy(z_s, torch.zeros(0, 4))
    assert loss.shape == (0,)
    assert loss.requires_grad


@pytest.mark.parametrize(('shape_s', 'shape_t'), [((2, 3), (2, 4)), ((2, 3), (3, 3)), ((2, 3), (1, 3)), ((3,), (3,))])
def test_shapes_must_agree(shape_s, shape_t):
    with pytest.raises(ValueError, match=r'must both be \(n, C \+ 1\)'):
        soft_cross_entropy(torch.zeros(shape_s), torch.zeros(shape_t))
