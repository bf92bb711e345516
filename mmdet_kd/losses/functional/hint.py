"""Distance between a guided student map and the teacher's hint."""

from typing import Literal, get_args

from torch import Tensor

from .shapes import check_same_shape

HintNorm = Literal['l2', 'l1']


def hint_loss(feat_s: Tensor, feat_t: Tensor, *, norm: HintNorm = 'l2') -> Tensor:
    r"""Mean distance of two maps, element by element.

    .. math:: L = \mathrm{mean}((A(V) - Z)^2) \text{ or } \mathrm{mean}(|A(V) - Z|)

    Args:
        feat_s: adapted student map A(V), (N, C, H, W) or (n, C); receives gradient.
        feat_t: teacher map Z, the same shape; constant.
        norm: 'l2', squared, or 'l1'.

    Returns:
        A scalar: the mean over all elements, batch included.

    Raises:
        ValueError: the shapes differ, or the norm is unknown.

    Source: Chen et al., NIPS 2017, the hint loss.
    Differs: the paper writes a plain norm; the mean keeps its weight independent of the size of the map.
    """
    check_same_shape(feat_s, feat_t)
    difference = feat_s - feat_t.detach()
    if norm == 'l2':
        elements = difference.square()
    elif norm == 'l1':
        elements = difference.abs()
    else:
        raise ValueError(f'norm must be one of {get_args(HintNorm)}, not {norm!r}')
    return elements.sum() / max(elements.numel(), 1)
