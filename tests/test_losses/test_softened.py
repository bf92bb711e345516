"""Softened divergences, by hand."""

import math

import pytest
import torch
from helpers.numeric import finite_differences
from mmdet.registry import MODELS

from mmdet_kd.losses.functional import softened_bce, softened_kl, softened_sigmoid_kl

S = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
T = torch.tensor([[1.5, 0.0, -0.5], [3.0, -2.0, 0.5]], dtype=torch.float64)


def softmax(row, temperature):
    shares = [math.exp(z / temperature) for z in row]
    return [share / sum(shares) for share in shares]


def sigmoid(row, temperature):
    return [1 / (1 + math.exp(-z / temperature)) for z in row]


@pytest.mark.parametrize('temperature', [1.0, 2.0])
def test_softmax_by_hand(temperature):
    expected = []
    for s, t in zip(S.tolist(), T.tolist(), strict=True):
        pairs = zip(softmax(s, temperature), softmax(t, temperature), strict=True)
        expected.append(temperature**2 * sum(p_t * math.log(p_t / p_s) for p_s, p_t in pairs))
    assert softened_kl(S, T, temperature=temperature).tolist() == pytest.approx(expected)


@pytest.mark.parametrize('temperature', [1.0, 2.0])
def test_sigmoids_by_hand(temperature):
    kl, bce = [], []
    for s, t in zip(S.tolist(), T.tolist(), strict=True):
        pairs = list(zip(sigmoid(s, temperature), sigmoid(t, temperature), strict=True))
        factor = temperature**2 / len(s)
        kl.append(factor * sum(q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)) for p, q in pairs))
        bce.append(-factor * sum(q * math.log(p) + (1 - q) * math.log(1 - p) for p, q in pairs))
    assert softened_sigmoid_kl(S, T, temperature=temperature).tolist() == pytest.approx(kl)
    assert softened_bce(S, T, temperature=temperature).tolist() == pytest.approx(bce)


@pytest.mark.parametrize('loss', [softened_kl, softened_sigmoid_kl, softened_bce])
def test_gradient_is_that_of_finite_differences_and_the_students_alone(loss):
    student, teacher = S.clone().requires_grad_(), T.clone().requires_grad_()
    loss(student, teacher, temperature=2.0).sum().backward()
    numeric = finite_differences(lambda at: loss(at, T, temperature=2.0).sum().item(), S.clone())
    torch.testing.assert_close(student.grad, numeric, rtol=1e-5, atol=1e-7)
    assert teacher.grad is None


def test_both_sigmoid_losses_have_the_same_gradient():
    grads = []
    for loss in (softened_sigmoid_kl, softened_bce):
        student = S.clone().requires_grad_()
        loss(student, T, temperature=2.0).sum().backward()
        grads.append(student.grad)
    torch.testing.assert_close(*grads)


def test_a_class_without_a_share_of_the_teachers():
    """A classifier knows no background: minus infinity there, and the loss is finite."""
    teacher = T.clone()
    teacher[:, -1] = -math.inf
    student = S.clone().requires_grad_()
    loss = softened_kl(student, teacher, temperature=2.0)
    loss.sum().backward()
    expected = []
    for s, t in zip(S.tolist(), T.tolist(), strict=True):
        p_s, p_t = softmax(s, 2.0), softmax(t[:2], 2.0)
        expected.append(4 * sum(q * math.log(q / p) for q, p in zip(p_t, p_s[:2], strict=True)))
    assert loss.tolist() == pytest.approx(expected)
    assert student.grad.isfinite().all()


@pytest.mark.parametrize('loss', [softened_kl, softened_sigmoid_kl])
def test_it_vanishes_where_the_two_agree(loss):
    torch.testing.assert_close(loss(S, S, temperature=3.0), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize('logits', [torch.full((1, 4), 1e4), torch.full((1, 4), -1e4)])
@pytest.mark.parametrize('loss', [softened_kl, softened_sigmoid_kl, softened_bce])
def test_extreme_scores_are_finite(loss, logits):
    assert loss(-logits, logits, temperature=1.0).isfinite().all()


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r'must both be \(n, C\), not \(2, 3\) and \(2, 2\)'):
        softened_kl(S, T[:, :2], temperature=1.0)


@pytest.mark.parametrize(
    ('cfg', 'function'),
    [
        (dict(type='SoftenedKLLoss'), softened_kl),
        (dict(type='SoftenedKLLoss', use_sigmoid=True), softened_sigmoid_kl),
        (dict(type='SoftenedBCELoss'), softened_bce),
    ],
)
def test_the_modules_weigh_and_average(cfg, function):
    module = MODELS.build({**cfg, 'temperature': 2.0, 'loss_weight': 3.0})
    rows = function(S, T, temperature=2.0)
    torch.testing.assert_close(module(S, T, torch.tensor([1.0, 0.5]), avg_factor=4.0), 3 * (rows[0] + rows[1] / 2) / 4)
    assert module(S[:0], T[:0]) == 0
    with pytest.raises(ValueError, match='temperature must be greater than 0'):
        MODELS.build({**cfg, 'temperature': 0.0})
