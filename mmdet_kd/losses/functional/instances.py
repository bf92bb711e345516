"""How two networks see some instances: their features, how these relate to each other, and the scores around them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .reduction import weighted_average
from .shapes import check_logits, check_same_shape


def instance_feature_loss(
    feat_s: Tensor, feat_t: Tensor, valid: Tensor, avg_factor: Tensor | float | None = None
) -> Tensor:
    r"""Squared distance of the features of instances, summed over the channels and averaged over the cells.

    .. math:: L = \frac{1}{K h w} \sum_{k=1}^{K} \sum_{c,h,w} (t_k - s_k)^2

    Args:
        feat_s: adapted student features (n, C, h, w); receives gradient.
        feat_t: teacher features, the same shape; constant.
        valid: which of them are of an instance (n,), bool; the others count nothing.
        avg_factor: K; the number of valid ones if it is not given, at least 1.

    Returns:
        A scalar; 0, attached to the graph, where none is valid.

    Raises:
        ValueError: the shapes differ.

    Source: Dai et al., CVPR 2021 (GID), equation 4.
    """
    check_same_shape(feat_s, feat_t)
    distances = (feat_s - feat_t.detach()).square().sum(dim=1).flatten(1).mean(dim=1)
    return weighted_average(distances, valid, valid.sum().clamp(min=1) if avg_factor is None else avg_factor)


def instance_relation_loss(
    feat_s: Tensor, feat_t: Tensor, valid: Tensor, avg_factor: Tensor | float | None = None
) -> Tensor:
    r"""Smooth-L1 distance of how far instances are from each other in the eyes of two networks.

    .. math::
        L = \frac{1}{K^2 - K} \sum_{i \neq j} \mathrm{smooth}_{L1}(\psi^s_{ij} - \psi^t_{ij}), \qquad
        \psi_{ij} = \frac{\|f_i - f_j\|_2}{\phi}, \qquad \phi = \mathrm{mean}\{\|f_i - f_j\|_2 > 0\}

    The mean of a group of instances is its own. The gradient also runs through the student's mean.

    Args:
        feat_s: student features (B, K, D) of K instances in each of B groups; receives gradient.
        feat_t: teacher features (B, K, D'); constant.
        valid: which of them are of an instance (B, K), bool; the others are in no pair.
        avg_factor: number of ordered pairs; that of all groups if it is not given, at least 1.

    Returns:
        A scalar; 0, attached to the graph, where no group has two instances.

    Raises:
        ValueError: the features are not of the same instances.

    Source: Dai et al., CVPR 2021 (GID), equations 5 and 6.
    """
    if not feat_s.shape[:2] == feat_t.shape[:2] == valid.shape:
        raise ValueError(f'instances of {feat_s.shape[:2]}, {feat_t.shape[:2]} and {valid.shape} cannot be compared')
    pairs = instance_pairs(valid)
    distances = F.smooth_l1_loss(_relations(feat_s, pairs), _relations(feat_t.detach(), pairs), reduction='none')
    return weighted_average(distances, pairs, pairs.sum().clamp(min=1) if avg_factor is None else avg_factor)


def instance_pairs(valid: Tensor) -> Tensor:
    """Which ordered pairs (B, K, K) of the valid instances (B, K) of each group there are, bool; none with itself."""
    other = ~torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
    return valid[:, :, None] & valid[:, None] & other


def class_distances(logits_s: Tensor, logits_t: Tensor, use_sigmoid: bool) -> Tensor:
    r"""Cross entropy of class scores, summed over the classes.

    .. math:: L_i = -\sum_c p_t^c \log p_s^c + (1 - p_t^c) \log (1 - p_s^c)

    of sigmoids; of one softmax over all classes and the background, the second term is left out.

    Args:
        logits_s: student logits (n, C); receives gradient.
        logits_t: teacher logits (n, C); constant.
        use_sigmoid: whether a class has a sigmoid of its own.

    Returns:
        The loss of each row (n,).

    Raises:
        ValueError: the shapes differ.

    Source: Dai et al., CVPR 2021 (GID), equation 8.
    """
    check_logits(logits_s, logits_t, 'C')
    logits_t = logits_t.detach()
    if use_sigmoid:
        return F.binary_cross_entropy_with_logits(logits_s, logits_t.sigmoid(), reduction='none').sum(dim=1)
    return -(logits_t.softmax(dim=1) * logits_s.log_softmax(dim=1)).sum(dim=1)


def _relations(feat: Tensor, pairs: Tensor) -> Tensor:
    """Distances (B, K, K) of the pairs, in means of a group; 0 where there is no pair."""
    # Products of the vectors would give near ones a distance that is rounding.
    distances = torch.cdist(feat, feat, compute_mode='donot_use_mm_for_euclid_dist') * pairs
    apart = (distances > 0).sum(dim=(1, 2), keepdim=True).clamp(min=1)
    mean = distances.sum(dim=(1, 2), keepdim=True) / apart
    return distances / mean.clamp(min=_LEAST_MEAN)


_LEAST_MEAN = 1e-12
