"""Soft-target cross entropy with a weight of its own for the background class."""

import torch
from torch import Tensor

from .shapes import check_logits


def class_weighted_soft_cross_entropy(
    logits_s: Tensor, logits_t: Tensor, *, background_weight: float = 1.5, temperature: float = 1.0
) -> Tensor:
    r"""Cross entropy between the softened class distributions of teacher and student.

    .. math:: L_i = -\sum_c w_c P_t^c \log P_s^c, \qquad P = \mathrm{softmax}(z / T)

    with :math:`w_c` = ``background_weight`` for the last class and 1 for the others. The weight sits on the class
    index inside the sum, not on the sample.

    Args:
        logits_s: student logits (n, C + 1), background last; receives gradient.
        logits_t: teacher logits (n, C + 1); constant.
        background_weight: weight of the background class, >= 0. The paper's value on PASCAL is 1.5.
        temperature: softens both distributions, > 0. The paper uses 1.

    Returns:
        The loss of each row (n,).

    Raises:
        ValueError: the shapes differ.

    Source: Chen et al., NIPS 2017, the soft part of the classification loss.
    Differs: no factor T^2, which the paper does not have; with T != 1 scale the loss weight instead.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0]])
        >>> round(class_weighted_soft_cross_entropy(logits, logits, background_weight=1.0).item(), 4)
        0.6931
    """
    check_logits(logits_s, logits_t, 'C + 1')
    log_p_s = torch.log_softmax(logits_s / temperature, dim=1)
    p_t = torch.softmax(logits_t.detach() / temperature, dim=1)
    class_weight = torch.ones_like(p_t[:1])
    class_weight[:, -1] = background_weight
    return -(class_weight * p_t * log_p_s).sum(dim=1)
