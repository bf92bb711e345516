"""The hint loss against plain loops."""

import pytest
import torch
from helpers.numeric import finite_differences

from mmdet_kd.losses.functional import hint_loss

SHAPES = [(2, 3, 2, 3), (1, 1, 1, 1), (5, 4)]


def maps(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))


def by_loops(feat_s, feat_t, norm):
    total, count = 0.0, 0
    for s, t in zip(feat_s.flatten().tolist(), feat_t.flatten().tolist(), strict=True):
        total += (s - t) ** 2 if norm == 'l2' else abs(s - t)
        count += 1
    return total / count


@pytest.mark.parametrize('norm', ['l2', 'l1'])
@pytest.mark.parametrize('shape', SHAPES)
def test_value_and_gradient_are_the_loops(shape, norm):
    feat_s, feat_t = maps(shape)
    feat_s.requires_grad_()
    loss = hint_loss(feat_s, feat_t, norm=norm)
    assert loss.item() == pytest.approx(by_loops(feat_s, feat_t, norm), rel=1e-12)
    loss.backward()
    expected = finite_differences(lambda f: by_loops(f, feat_t, norm), feat_s)
    torch.testing.assert_close(feat_s.grad, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize('norm', ['l2', 'l1'])
def test_gradcheck(norm):
    feat_s, feat_t = maps((2, 3, 2, 2))
    assert torch.autograd.gradcheck(lambda f: hint_loss(f, feat_t, norm=norm), feat_s.requires_grad_())


def test_by_hand():
    # differences 1, -3, 0, 2: squares 1 + 9 + 0 + 4 = 14, over 4 = 3.5; absolutes 1 + 3 + 0 + 2 = 6, over 4 = 1.5
    feat_s = torch.tensor([2.0, 0.0, 1.0, 5.0]).view(1, 1, 2, 2)
    feat_t = torch.tensor([1.0, 3.0, 1.0, 3.0]).view(1, 1, 2, 2)
    assert hint_loss(feat_s, feat_t, norm='l2').item() == pytest.approx(3.5)
    assert hint_loss(feat_s, feat_t, norm='l1').item() == pytest.approx(1.5)


@pytest.mark.parametrize('norm', ['l2', 'l1'])
def test_equal_maps_cost_nothing(norm):
    feat_s, _ = maps((2, 3, 2, 2))
    feat_t = feat_s.clone()
    loss = hint_loss(feat_s.requires_grad_(), feat_t, norm=norm)
    loss.backward()
    assert loss.item() == 0
    assert feat_s.grad.abs().sum() == 0


@pytest.mark.parametrize('norm', ['l2', 'l1'])
def test_the_size_of_map_and_batch_does_not_matter(norm):
    """The mean, not the sum: the same weight means the same for one map and for a pyramid."""
    feat_s, feat_t = maps((2, 3, 2, 2))
    tiled = [f.repeat(3, 1, 4, 5) for f in (feat_s, feat_t)]
    torch.testing.assert_close(hint_loss(*tiled, norm=norm), hint_loss(feat_s, feat_t, norm=norm))


def test_teacher_gets_no_gradient():
    feat_s, feat_t = (f.requires_grad_() for f in maps((1, 2, 2, 2)))
    hint_loss(feat_s, feat_t).backward()
    assert feat_t.grad is None
    assert feat_s.grad.abs().sum() > 0


@pytest.mark.parametrize('norm', ['l2', 'l1'])
def test_an_empty_map_gives_an_attached_zero(norm):
    feat_s = torch.zeros(0, 3, 2, 2, requires_grad=True)
    loss = hint_loss(feat_s, torch.zeros(0, 3, 2, 2), norm=norm)
    loss.backward()
    assert loss.item() == 0
    assert feat_s.grad.shape == feat_s.shape


def test_shapes_must_agree():
    """A shape that would broadcast is no agreement either; the error names the cure."""
    with pytest.raises(ValueError, match=r'\(1, 4, 2, 2\).*\(1, 1, 2, 2\).*adapter'):
        hint_loss(torch.zeros(1, 4, 2, 2), torch.zeros(1, 1, 2, 2))


def test_unknown_norm():
    with pytest.raises(ValueError, match=r"'l2', 'l1'.*not 'l3'"):
        hint_loss(torch.zeros(1, 1), torch.zeros(1, 1), norm='l3')
