"""How the scores of two networks go together, within a row and within a class (DIST)."""

import torch
from torch import Tensor

from .reduction import weighted_average
from .shapes import check_logits

_EPS = 1e-8


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
    centred = (scores - scores.mean(dim=1, keepdim=True) for scores in (scores_s, scores_t.detach()))
    return weighted_average(1 - _cosine(*centred), weight, avg_factor)


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
    counted = weight.sum().clamp(min=_EPS)
    root = weight.sqrt()[:, None]
    centred = (
        (root * (scores - weight @ scores / counted)).T  # a row a class
        for scores in (scores_s, scores_t.detach())
    )
    enough = (weight > 0).sum() > 1  # one row always goes together with itself
    return ((1 - _cosine(*centred)) * enough).sum() / max(scores_s.shape[1], 1)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    """Of each row; 0, with a finite gradient, where one is 0."""
    lengths = torch.linalg.vector_norm(first, dim=1) * torch.linalg.vector_norm(second, dim=1)
    return (first * second).sum(dim=1) / (lengths + _EPS)
