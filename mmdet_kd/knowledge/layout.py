"""How the values of a map lie in memory."""

from torch import Tensor


def to_plain_layout(feat: Tensor) -> Tensor:
    """A map (N, C, H, W) in the contiguous layout; itself where it is so already.

    On a CPU, torch transposes matrices in blocks, but channels-last maps cell by cell, which takes three times as long.
    """
    if feat.is_contiguous() or feat.device.type != 'cpu':
        return feat.contiguous()
    plain = feat.new_empty(feat.shape)
    for target, picture in zip(plain, feat, strict=True):
        target.flatten(1).copy_(picture.permute(1, 2, 0).flatten(0, 1).t())
    return plain
