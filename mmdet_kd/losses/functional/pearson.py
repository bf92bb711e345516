"""How the values of a map go together, channel by channel, whatever their mean and their spread."""

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
        A scalar; 0, attached to the graph, where a channel has one value only. A channel that is constant counts as
        if its deviation were 1.

    Raises:
        ValueError: the shapes differ.

    Source: Cao et al., NeurIPS 2022 (PKD), equation 4.
    """
    check_same_shape(feat_s, feat_t)
    return (_standardise(feat_s) - _standardise(feat_t.detach())).square().sum() / max(2 * feat_s.numel(), 1)


def _standardise(feat: Tensor) -> Tensor:
    values = feat.transpose(0, 1).flatten(1)  # (C, n)
    centred = values - values.mean(dim=1, keepdim=True)
    variance = centred.square().sum(dim=1, keepdim=True) / max(values.shape[1] - 1, 1)
    varies = variance > 0  # the root has no gradient at 0
    return centred / (variance.where(varies, variance.new_ones(())).sqrt() + _EPS)
