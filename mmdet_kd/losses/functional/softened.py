"""Divergence of class scores that a temperature softens (Hinton et al., 2015)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shapes import check_logits


def softened_kl(logits_s: Tensor, logits_t: Tensor, *, temperature: float) -> Tensor:
    r"""Divergence of two softmax distributions.

    .. math:: L_i = T^2 \sum_c p_t^c \log \frac{p_t^c}{p_s^c}, \qquad p = \mathrm{softmax}(z / T)

    Args:
        logits_s: student logits (n, C); receives gradient.
        logits_t: teacher logits (n, C); constant. Minus infinity for a class that the teacher gives no share.
        temperature: softens both distributions, > 0. T^2 keeps the gradient of the size that it has at T = 1.

    Returns:
        The loss of each row (n,).

    Raises:
        ValueError: the shapes differ.
    """
    check_logits(logits_s, logits_t, 'C')
    log_p_s = torch.log_softmax(logits_s / temperature, dim=1)
    p_t = torch.softmax(logits_t.detach() / temperature, dim=1)
    return temperature**2 * F.kl_div(log_p_s, p_t, reduction='none').sum(dim=1)


def softened_sigmoid_kl(logits_s: Tensor, logits_t: Tensor, *, temperature: float) -> Tensor:
    r"""Divergence of two lists of yes-or-no distributions, the mean over the classes.

    .. math:: L_i = \frac{T^2}{C} \sum_c \mathrm{KL}(\sigma(z_t^c / T) \| \sigma(z_s^c / T))

    Arguments and result are those of :func:`softened_kl`.
    """
    check_logits(logits_s, logits_t, 'C')
    p_t = torch.sigmoid(logits_t.detach() / temperature)
    yes = F.kl_div(F.logsigmoid(logits_s / temperature), p_t, reduction='none')
    no = F.kl_div(F.logsigmoid(-logits_s / temperature), 1 - p_t, reduction='none')
    return temperature**2 * (yes + no).mean(dim=1)


def softened_bce(logits_s: Tensor, logits_t: Tensor, *, temperature: float) -> Tensor:
    r"""Cross entropy of two lists of yes-or-no distributions, the mean over the classes.

    .. math:: L_i = -\frac{T^2}{C} \sum_c p_t^c \log p_s^c + (1 - p_t^c) \log (1 - p_s^c), \qquad p = \sigma(z / T)

    Its gradient is that of :func:`softened_sigmoid_kl`; its value does not vanish where the two agree. Arguments and
    result are those of :func:`softened_kl`.
    """
    check_logits(logits_s, logits_t, 'C')
    p_t = torch.sigmoid(logits_t.detach() / temperature)
    loss = F.binary_cross_entropy_with_logits(logits_s / temperature, p_t, reduction='none')
    return temperature**2 * loss.mean(dim=1)
