"""Mean and spread of the channels of a map."""

import torch
from torch import Tensor

_EPS = 1e-6
_PLACES = (0, 2, 3)


def channel_statistics(feat: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance of each channel of a map (N, C, H, W) over all pictures and places, (1, C, 1, 1).

    The variance of a single value is 0.
    """
    mean = feat.mean(dim=_PLACES, keepdim=True)
    count = feat.numel() // max(feat.shape[1], 1)
    return mean, (feat - mean).square().sum(dim=_PLACES, keepdim=True) / max(count - 1, 1)


def match_statistics(feat_s: Tensor, mean_t: Tensor, deviation_t: Tensor) -> Tensor:
    r"""A map whose channels have the mean and the deviation of the teacher's.

    .. math:: F' = \frac{F_s - \mu_s}{\sigma_s + 10^{-6}} \sigma_t + \mu_t

    The gradient also runs through the student's mean and deviation.

    Args:
        feat_s: student map (N, C, H, W); receives gradient.
        mean_t: of the teacher's channels, (1, C, 1, 1); constant.
        deviation_t: likewise.

    Returns:
        (N, C, H, W). A channel that is constant, up to the rounding of its mean, is the teacher's mean everywhere, as
        if its own deviation were 1.

    Source: the authors' code of Wang et al., CVPR 2024 (CrossKD); the paper does not mention it.
    """
    mean, variance = channel_statistics(feat_s)
    # Where a constant differs from its mean by rounding alone, the gradient would be a million times the usual one.
    varies = variance > (4 * torch.finfo(feat_s.dtype).eps * mean).square()
    deviation = variance.where(varies, variance.new_ones(())).sqrt() + _EPS
    return (feat_s - mean) / deviation * deviation_t.detach() + mean_t.detach()
