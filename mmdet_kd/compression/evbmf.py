"""How many components of a matrix are signal: the rank that variational Bayes gives it."""

import math

import torch
from torch import Tensor

_GRID, _ROUNDS = 256, 5


def evbmf_rank(matrix: Tensor) -> int:
    r"""Rank of the global solution of empirical variational Bayesian matrix factorisation, noise variance included.

    With singular values :math:`\gamma_h` of an L x M matrix, L <= M, and :math:`\alpha = L / M`, component h is kept if

    .. math:: \gamma_h^2 / (M \sigma^2) > \underline{x} = (1 + \underline\tau) (1 + \alpha / \underline\tau)

    where :math:`\underline\tau` is the root of :math:`\Phi(\tau) + \Phi(\tau / \alpha)`,
    :math:`\Phi(z) = \log(1 + z) / z - 1/2`, and :math:`\sigma^2` minimises the free energy, a function of one variable.

    Args:
        matrix: (L, M) or (M, L).

    Returns:
        0 for noise alone, at most L.

    Source: Nakajima, Sugiyama, Babacan, Tomioka, JMLR 14 (2013), theorem 2 and the estimate of the noise variance.
    """
    squares, columns = squared_singular_values(matrix), max(matrix.shape)
    if squares[0] == 0:
        return 0
    alpha = len(squares) / columns
    threshold = _threshold(alpha)
    # An exact product of smaller matrices leaves no noise: what is below rounding counts as rounding.
    squares = squares.clamp(min=float(squares[0]) * 1e-12)
    variance = _noise_variance(squares, columns, threshold)
    return int((squares / (columns * variance) > threshold).sum())


def squared_singular_values(matrix: Tensor) -> Tensor:
    """Of the smaller Gram matrix, in float64, largest first: (min(L, M),)."""
    matrix = matrix.detach().double()
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return torch.linalg.eigvalsh(gram).flip(0).clamp(min=0)


def _threshold(alpha: float) -> float:
    """x, above which a component pays for itself."""

    def phi(z: float) -> float:
        return math.log1p(z) / z - 0.5

    low, high = 1e-9, 10.0  # the sum falls from 1 to below 0
    for _ in range(100):
        middle = (low + high) / 2
        if phi(middle) + phi(middle / alpha) > 0:
            low = middle
        else:
            high = middle
    return (1 + low) * (1 + alpha / low)


def _noise_variance(squares: Tensor, columns: int, threshold: float) -> float:
    """The minimum of the free energy between the bounds of the paper, on finer and finer grids."""
    rows = len(squares)
    most = min(math.ceil(rows / (1 + rows / columns)) - 1, rows - 1)
    low = max(float(squares[most]) / (columns * threshold), float(squares[most:].mean()) / columns)
    high = float(squares.mean()) / columns
    low = min(low, high)
    for _ in range(_ROUNDS):
        grid = torch.logspace(math.log(low), math.log(high), _GRID, base=math.e, dtype=torch.float64)
        best = int(_free_energy(squares, columns, grid, threshold).argmin())
        low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)])
    return float(grid[best])


def _free_energy(squares: Tensor, columns: int, variances: Tensor, threshold: float) -> Tensor:
    """Of the best factors, for each noise variance, up to a constant and a factor."""
    alpha = len(squares) / columns
    x = squares / (columns * variances[:, None])
    energy = x - x.log()
    excess = (x - (1 + alpha)).clamp(min=2 * math.sqrt(alpha))  # below it no component is kept
    tau = (excess + (excess.square() - 4 * alpha).clamp(min=0).sqrt()) / 2
    kept = (tau + 1).log() + alpha * (tau / alpha + 1).log() - tau
    return (energy + torch.where(x > threshold, kept, 0.0)).sum(1)
