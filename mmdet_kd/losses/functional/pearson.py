"""How the values of a map go together, channel by channel, whatever their mean and their spread."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shapes import check_same_shape

_EPS = 1e-6


def pearson_loss(feat_s: Tensor, feat_t: Tensor) -> Tensor:
    r"""Half the mean squared distance of standardised maps.

    .. math:: L = \frac{1}{2} \mathrm{mean}((z_s - z_t)^2), \qquad z = \frac{F - \mu_c}{\sigma_c + 10^{-6}}

    with mean and unbiased deviation of each channel over all pictures and places. Of n values a channel it is
    (1 - r) (n - 1) / n, where r is the mean of Pearson's correlation over the channels. The gradient also runs through
    mean and deviation.

    Args:
        feat_s: student map (N, C, H, W); receives gradient.
        feat_t: teacher map, the same shape; constant.

    Returns:
        A scalar; 0, attached to the graph, where a channel has one value only. A channel that is constant, up to the
        rounding of its mean, counts as if its deviation were 1.

    Raises:
        ValueError: the shapes differ.

    Source: Cao et al., NeurIPS 2022 (PKD), equation 4.
    """
    check_same_shape(feat_s, feat_t)
    with torch.no_grad():
        standard_t = _standardise(feat_t)
    return F.mse_loss(_standardise(feat_s), standard_t, reduction='sum') / max(2 * feat_s.numel(), 1)


def _standardise(feat: Tensor) -> Tensor:
    places = (0, 2, 3)
    # What would come back through the mean adds up to 0, since the two standardised maps do: so it is a constant.
    mean = feat.detach().mean(dim=places, keepdim=True)
    centred = feat - mean
    count = feat.numel() // max(feat.shape[1], 1)
    variance = (centred * centred).sum(dim=places, keepdim=True) / max(count - 1, 1)
    # Where a constant differs from its mean by rounding alone, the gradient would be a million times the usual one.
    varies = variance > (4 * torch.finfo(feat.dtype).eps * mean).square()
    return centred * (variance.where(varies, variance.new_ones(())).sqrt() + _EPS).reciprocal()
