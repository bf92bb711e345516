"""Distributions over the places of a map, channel by channel."""

import torch.nn.functional as F
from torch import Tensor

from .shapes import check_same_shape


def channel_wise_kl(feat_s: Tensor, feat_t: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Divergence of where each channel is active.

    .. math:: L = \frac{\tau^2}{N C} \sum_{n, c} KL(p_t^{(n, c)} \| p_s^{(n, c)}),
        \qquad p^{(n, c)} = \mathrm{softmax}_{hw}(F^{(n, c)} / \tau)

    Args:
        feat_s: student map (N, C, H, W); receives gradient.
        feat_t: teacher map, the same shape; constant.
        temperature: tau > 0.

    Returns:
        A scalar. A constant that is added to a channel changes nothing.

    Raises:
        ValueError: the shapes differ.

    Source: Shu et al., ICCV 2021 (CWD), equations 3 and 4.
    """
    check_same_shape(feat_s, feat_t)
    maps = [feat_s, feat_t.detach()]
    if temperature != 1:  # as it is on necks: a division would copy both maps
        maps = [feat / temperature for feat in maps]
    log_s, log_t = (F.log_softmax(feat.flatten(2), dim=-1) for feat in maps)
    divergence = F.kl_div(log_s, log_t, reduction='sum', log_target=True)
    return temperature**2 * divergence / max(feat_s.shape[0] * feat_s.shape[1], 1)
