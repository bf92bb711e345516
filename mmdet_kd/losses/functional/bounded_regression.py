"""Regression that stops where the student is better than the teacher."""

import torch
from torch import Tensor


def teacher_bounded_l2(
    pred: Tensor, teacher_pred: Tensor, target: Tensor, *, margin: float = 0.0, weight: Tensor | None = None
) -> Tensor:
    r"""Squared error towards the ground truth, paid only while it is not below the teacher's by a margin.

    .. math:: L_i = \|R_s - y\|_2^2 \text{ if } \|R_s - y\|_2^2 + m > \|R_t - y\|_2^2 \text{ else } 0

    The teacher bounds the error; it is never a target.

    Args:
        pred: student deltas (n, 4), encoded; receives gradient.
        teacher_pred: teacher deltas (n, 4) in the same encoding; constant.
        target: ground-truth deltas (n, 4); constant.
        margin: m >= 0, in squared deltas. ``float('inf')`` never stops: the plain, unbounded L2.
        weight: (n,) or (n, 4); multiplies the squared errors, not the comparison.

    Returns:
        The loss of each row (n,), summed over the four deltas.

    Raises:
        ValueError: the shapes differ.

    Source: Chen et al., NIPS 2017, the bounded part of the regression loss.

    Example:
        >>> target = torch.zeros(2, 4)
        >>> pred = torch.tensor([[2.0, 0, 0, 0], [1.0, 0, 0, 0]])
        >>> teacher = torch.tensor([[1.0, 0, 0, 0], [2.0, 0, 0, 0]])
        >>> teacher_bounded_l2(pred, teacher, target).tolist()
        [4.0, 0.0]
    """
    if not pred.shape == teacher_pred.shape == target.shape or pred.dim() != 2:
        raise ValueError(
            f'pred, teacher_pred and target must all be (n, 4), not {tuple(pred.shape)}, '
            f'{tuple(teacher_pred.shape)} and {tuple(target.shape)}'
        )
    squared_s = (pred - target.detach()).square()
    with torch.no_grad():
        error_t = (teacher_pred - target).square().sum(dim=1)
        unbounded = squared_s.sum(dim=1) + margin > error_t
    if weight is not None:
        squared_s = squared_s * (weight if weight.dim() == 2 else weight[:, None])
    return squared_s.sum(dim=1) * unbounded
