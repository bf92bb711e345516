"""Class scores, weighted by how much two networks disagree on them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shapes import check_logits


def disagreement_bce(logits_s: Tensor, logits_t: Tensor, *, beta: float = 1.0) -> Tensor:
    r"""Binary cross entropy towards the teacher's scores, each weighted by its distance; the sum over the classes.

    .. math::
        L_i = \sum_c |p_s^c - p_t^c|^\beta \, \mathrm{BCE}(z_s^c, p_t^c), \qquad p = \sigma(z)

    The gradient also runs through the weight.

    Args:
        logits_s: student logits (n, C); receives gradient.
        logits_t: teacher logits (n, C); constant.
        beta: >= 0; 0 weights all alike.

    Returns:
        The loss of each row (n,).

    Raises:
        ValueError: the shapes differ.

    Source: Yang et al., ICCV 2023 (BCKD), equation 4; Wang et al., CVPR 2024 (CrossKD) have the same.
    """
    check_logits(logits_s, logits_t, 'C')
    p_t = logits_t.detach().sigmoid()
    loss = F.binary_cross_entropy_with_logits(logits_s, p_t, reduction='none')
    if beta == 0:
        return loss.sum(dim=1)
    # At a distance of 0 the derivative of |x|^beta may be infinite; there the loss has none.
    apart = (logits_s.sigmoid() - p_t).abs().clamp(min=torch.finfo(logits_s.dtype).tiny)
    return (apart.pow(beta) * loss).sum(dim=1)
