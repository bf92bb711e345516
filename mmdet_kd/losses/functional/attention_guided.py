"""Comparing maps where the two networks look."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import attention
from .shapes import check_same_shape

_EPS = 1e-12  # the root has no gradient at 0


@torch.no_grad()
def shared_attention(feat_s: Tensor, adapted: Tensor, feat_t: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Mean attention of the two networks, of the places and of the channels.

    Args:
        feat_s: student map (N, C_s, H, W).
        adapted: the same map, adapted to (N, C, H, W).
        feat_t: teacher map (N, C, H, W).
        temperature: of the attention, > 0.

    Returns:
        (N, 1, H, W) and (N, C, 1, 1), both constant; the mean of each picture is 1.

    Raises:
        ValueError: the shapes of adapted and teacher map differ.

    Source: Zhang and Ma, ICLR 2021 (FKD).
    Differs: the paper's two maps have the same channels. If they have not, the student's attention to channels is that
        of the adapted map.
    """
    check_same_shape(adapted, feat_t)
    places_s, channels_s = attention(feat_s, temperature)
    if feat_s.shape[1] != feat_t.shape[1]:
        channels_s = attention(adapted, temperature)[1]
    places_t, channels_t = attention(feat_t, temperature)
    return (places_s + places_t) / 2, (channels_s + channels_t) / 2


def masked_distance(feat_s: Tensor, feat_t: Tensor, spatial: Tensor, channel: Tensor | None = None) -> Tensor:
    r"""Distance of two maps where the networks look, :math:`\sqrt{\sum M^s M^c (F_t - F_s)^2 + 10^{-12}}`.

    Args:
        feat_s: adapted student map (N, C, H, W); receives gradient.
        feat_t: teacher map, the same shape; constant.
        spatial: mask of the places, M^s (N, 1, H, W).
        channel: mask of the channels, M^c (N, C, 1, 1); 1 if not given.

    Returns:
        A scalar: one root over the whole batch. So it grows with the root of the number of pictures.

    Raises:
        ValueError: the shapes of the maps differ.

    Source: Zhang and Ma, ICLR 2021 (FKD), the loss of the attention mask.
    """
    check_same_shape(feat_s, feat_t)
    squares = F.mse_loss(feat_s, feat_t.detach(), reduction='none')
    if channel is not None:
        squares = channel * squares
    return ((spatial * squares.sum(dim=1, keepdim=True)).sum() + _EPS).sqrt()


def root_distance(feat_s: Tensor, feat_t: Tensor) -> Tensor:
    r"""Euclidean distance :math:`\sqrt{\sum (F_t - F_s)^2 + 10^{-12}}`, one root over the whole batch.

    Args:
        feat_s: of the student, of any shape; receives gradient.
        feat_t: of the teacher, the same shape; receives gradient as well, if it is trained.

    Returns:
        A scalar.

    Raises:
        ValueError: the shapes differ.
    """
    check_same_shape(feat_s, feat_t)
    return (F.mse_loss(feat_s, feat_t, reduction='sum') + _EPS).sqrt()
