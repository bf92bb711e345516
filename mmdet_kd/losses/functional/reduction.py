"""From a loss per row to a scalar."""

import torch
from torch import Tensor


def weighted_average(loss: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None) -> Tensor:
    """Sum of the weighted rows over ``avg_factor``.

    Args:
        loss: loss of each row (n,).
        weight: weight of each row (n,).
        avg_factor: the denominator; the number of rows where it is not given, as in mmdet.

    Returns:
        A scalar, attached to the graph of ``loss`` also when there are no rows.
    """
    if weight is not None:
        loss = loss * weight
    if avg_factor is None:
        avg_factor = max(loss.numel(), 1)
    return torch.sum(loss) / avg_factor
