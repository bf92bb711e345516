"""The analytic solution against a search for the minimum of the free energy, and against planted ranks."""

import math

import numpy as np
import pytest
import torch

from mmdet_kd.compression import evbmf_rank
from mmdet_kd.compression.evbmf import _threshold


def planted(rows, columns, rank, noise, seed, spread=0.0):
    """A product of orthonormal factors of the scale of the largest noise component, and noise."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.standard_normal((rows, max(rank, 1))))[0]
    right = np.linalg.qr(rng.standard_normal((columns, max(rank, 1))))[0]
    scales = np.exp(spread * rng.standard_normal(rank)) * (math.sqrt(rows) + math.sqrt(columns))
    signal = left[:, :rank] * scales @ right[:, :rank].T
    return signal + noise * rng.standard_normal((rows, columns))


@pytest.mark.parametrize(('rows', 'columns'), [(20, 90), (90, 20), (48, 48), (64, 576)])
@pytest.mark.parametrize('rank', [0, 1, 3, 8])
def test_a_planted_rank_is_found_in_noise(rows, columns, rank):
    for seed in range(3):
        matrix = torch.as_tensor(planted(rows, columns, rank, 0.3, seed))
        assert evbmf_rank(matrix) == rank
        assert evbmf_rank(matrix * 1e-4) == rank  # the scale of the weights says nothing


def test_without_noise_the_rank_is_the_rank():
    assert evbmf_rank(torch.as_tensor(planted(20, 30, 5, 0.0, 0))) == 5
    assert evbmf_rank(torch.zeros(20, 30)) == 0


@pytest.mark.parametrize(('alpha', 'tolerance'), [(0.05, 0.02), (0.3, 0.02), (1.0, 1e-4)])
def test_the_threshold_is_near_the_approximation_in_the_paper(alpha, tolerance):
    """2.5129 is the exact root for a square matrix."""
    tau = 2.5129 * math.sqrt(alpha)
    assert _threshold(alpha) == pytest.approx((1 + tau) * (1 + alpha / tau), rel=tolerance)


def lowest_component_energy(gamma, variance, rows, columns):
    """Twice the free energy of one component above that of leaving it out; by descent, one variable at a time.

    The posteriors of its two vectors are Gaussians of means a, b (their norms) and variances va, vb; the priors, of
    variances ca, cb, are optimised too. Below 0 the component is kept.
    """
    a = b = np.sqrt(gamma)
    va = vb = np.full_like(gamma, 1e-2)
    ca = cb = np.full_like(gamma, 1e3)
    for _ in range(1500):
        precision = b**2 + rows * vb + variance / ca
        a, va = gamma * b / precision, variance / precision
        ca = a**2 / columns + va
        precision = a**2 + columns * va + variance / cb
        b, vb = gamma * a / precision, variance / precision
        cb = b**2 / rows + vb
    energy = columns * np.log(ca / va) + rows * np.log(cb / vb) - (rows + columns)
    energy += (a**2 + columns * va) / ca + (b**2 + rows * vb) / cb
    return energy + (-2 * a * b * gamma + (a**2 + columns * va) * (b**2 + rows * vb)) / variance


def reference_rank(matrix):
    """Minimise over the noise variance and over every component, by trying."""
    rows, columns = sorted(matrix.shape)
    gamma = np.linalg.svd(matrix, compute_uv=False)
    mean = (gamma**2).sum() / (rows * columns)
    variance = np.geomspace(mean * 1e-3, mean, 800)[:, None]
    gain = np.minimum(lowest_component_energy(np.broadcast_to(gamma, (800, rows)), variance, rows, columns), 0)
    total = rows * columns * np.log(variance[:, 0]) + (gamma**2).sum() / variance[:, 0] + gain.sum(1)
    return int((gain[total.argmin()] < -1e-9).sum())


@pytest.mark.slow
def test_the_search_for_the_minimum_finds_the_same_ranks():
    found = []
    for seed in range(24):
        matrix = planted(6 + seed % 3, 14, seed % 4, 0.35, seed, spread=0.5)  # around the threshold
        found.append(reference_rank(matrix))
        assert evbmf_rank(torch.as_tensor(matrix)) == found[-1]
    assert len(set(found)) >= 3
