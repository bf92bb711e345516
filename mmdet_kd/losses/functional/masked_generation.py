"""Generating the teacher's map from parts of the student's."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from .shapes import check_same_shape


def masked_generation(feat_s: Tensor, feat_t: Tensor, kept: Tensor, generate: Callable[[Tensor], Tensor]) -> Tensor:
    r"""Distance of what is generated from a masked student map to the teacher's.

    .. math:: L = \frac{1}{N} \sum (G(B \odot A(F_s)) - F_t)^2

    Args:
        feat_s: adapted student map A(F) (N, C_s, H, W); receives gradient.
        feat_t: teacher map (N, C, H, W); constant.
        kept: which places are not masked, B, (N, 1, H, W).
        generate: G, which makes (N, C, H, W) of the masked map.

    Returns:
        A scalar: the sum over channels and places, the mean over pictures.

    Raises:
        ValueError: what is generated has another shape than the teacher's map.

    Source: Yang et al., ECCV 2022 (MGD), equation 4.
    """
    generated = generate(feat_s * kept)
    check_same_shape(generated, feat_t)
    return F.mse_loss(generated, feat_t.detach(), reduction='sum') / max(len(feat_s), 1)
