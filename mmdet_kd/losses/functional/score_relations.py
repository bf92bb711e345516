"""How the scores of two networks go together, within a row and within a class (DIST)."""

import torch
from torch import Tensor

from .reduction import weighted_average
from .shapes import check_logits


def row_relations(
    scores_s: Tensor, scores_t: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
) -> Tensor:
    r"""One minus the correlation of what two networks say of one row, the mean over the rows.

    .. math:: L = 1 - \frac{1}{n} \sum_i \rho(s_i, t_i)

    with Pearson's correlation over the classes.

    Args:
        scores_s: student scores (n, C); receives gradient.
        scores_t: teacher scores (n, C); constant.
        weight: weight of each row (n,).
        avg_factor: the denominator; the sum of the weights if it is not given, at least 1.

    Returns:
        A scalar; 0, attached to the graph, where no row counts. A row that does not vary counts 1.

    Raises:
        ValueError: the shapes differ.

    Source: Huang et al., NeurIPS 2022 (DIST), equation 7: the relations between classes.
    """
    check_logits(scores_s, scores_t, 'C')
    if avg_factor is None:
        avg_factor = max(len(scores_s), 1) if weight is None else weight.sum().clamp(min=1)
    return weighted_average(1 - _correlations(scores_s, scores_t.detach()), weight, avg_factor)


def class_relations(scores_s: Tensor, scores_t: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""One minus the correlation of what two networks say of one class, the mean over the classes.

    .. math:: L = 1 - \frac{1}{C} \sum_c \rho(s_{\cdot c}, t_{\cdot c})

    with Pearson's correlation over the rows, each with its weight.

    Args:
        scores_s: student scores (n, C); receives gradient.
        scores_t: teacher scores (n, C); constant.
        weight: weight of each row (n,).

    Returns:
        A scalar; 0, attached to the graph, where fewer than two rows count. A class that does not vary counts 1.

    Raises:
        ValueError: the shapes differ.

    Source: Huang et al., NeurIPS 2022 (DIST), equation 8: the relations within a class.
    """
    check_logits(scores_s, scores_t, 'C')
    if weight is None:
        weight = scores_s.new_ones(len(scores_s))
    correlations = _correlations(scores_s.T, scores_t.detach().T, weight)
    enough = (weight > 0).sum() > 1  # one row always goes together with itself
    return ((1 - correlations) * enough).sum() / max(len(correlations), 1)


def _correlations(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """Pearson's of each row (n, C), whose entries have a weight (C,); 0 where one of the two does not vary."""
    weight = first.new_ones(first.shape[1]) if weight is None else weight
    share = weight / weight.sum().clamp(min=torch.finfo(weight.dtype).tiny)
    return (_standardised(first, share) * _standardised(second, share)).sum(dim=1)


def _standardised(scores: Tensor, share: Tensor) -> Tensor:
    """Rows whose mean is 0 and whose squares add up to 1; 0 where a row does not vary."""
    mean = (scores * share).sum(dim=1, keepdim=True)
    centred = (scores - mean) * share.sqrt()
    square = centred.square().sum(dim=1, keepdim=True)
    # Where a row differs from its mean by rounding alone, the gradient would be a million times the usual one.
    varies = square > (4 * torch.finfo(scores.dtype).eps * mean).square()
    return centred * torch.where(varies, square, torch.ones_like(square)).rsqrt() * varies
