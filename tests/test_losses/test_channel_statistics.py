"""Maps whose channels are given other means and deviations, against plain loops."""

import statistics

import pytest
import torch
from helpers.numeric import finite_differences

from mmdet_kd.losses.functional import channel_statistics, match_statistics


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(feat, means, deviations):
    """Each channel over all pictures and places."""
    found = torch.zeros(feat.shape, dtype=torch.float64)
    for channel, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        values = feat[:, channel].flatten().tolist()
        own, spread = statistics.mean(values), statistics.stdev(values) + 1e-6
        for place in torch.cartesian_prod(*(torch.arange(n) for n in feat[:, channel].shape)).tolist():
            n, y, x = place
            found[n, channel, y, x] = (feat[n, channel, y, x].item() - own) / spread * deviation + mean
    return found


def test_value_and_gradient():
    feat, other = (5 + 3 * numbers(2, 3, 2, 2)).requires_grad_(), numbers(2, 3, 3, 1, seed=1)
    mean, variance = channel_statistics(other)
    values = [other[:, channel].flatten().tolist() for channel in range(3)]
    means, deviations = ([find(v) for v in values] for find in (statistics.mean, statistics.stdev))
    assert mean.flatten().tolist() == pytest.approx(means)
    assert variance.sqrt().flatten().tolist() == pytest.approx(deviations)
    matched = match_statistics(feat, mean, variance.sqrt())
    torch.testing.assert_close(matched, by_loops(feat, means, deviations))
    towards = numbers(2, 3, 2, 2, seed=2)
    (gradient,) = torch.autograd.grad((matched * towards).sum(), feat)
    numeric = finite_differences(lambda f: (by_loops(f, means, deviations) * towards).sum().item(), feat)
    torch.testing.assert_close(gradient, numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('feat', [torch.full((2, 3, 4, 4), 1 / 3), torch.randn(1, 3, 1, 1)])
def test_what_does_not_vary_is_the_other_mean_with_a_finite_gradient(feat):
    feat = feat.requires_grad_()
    matched = match_statistics(feat, torch.full((1, 3, 1, 1), 2.0), torch.full((1, 3, 1, 1), 7.0))
    torch.testing.assert_close(matched, torch.full_like(matched, 2.0))
    matched.square().sum().backward()
    assert feat.grad.abs().max() < 100
    assert channel_statistics(torch.randn(1, 3, 1, 1))[1].tolist() == [[[[0.0]], [[0.0]], [[0.0]]]]
