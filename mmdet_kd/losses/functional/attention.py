"""Where a network looks."""

import torch.nn.functional as F
from torch import Tensor


def attention(feat: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    r"""How much a network looks at each place, and how much it uses each channel.

    .. math:: A^s = HW \cdot \mathrm{softmax}_{hw}(\mathrm{mean}_c |F| / T), \qquad
        A^c = C \cdot \mathrm{softmax}_c(\mathrm{mean}_{hw} |F| / T)

    Args:
        feat: map (N, C, H, W).
        temperature: T > 0.

    Returns:
        Of the places (N, 1, H, W), and of the channels (N, C, 1, 1). The mean of each picture is 1.

    Source: Zhang and Ma, ICLR 2021 (FKD), and Yang et al., CVPR 2022 (FGD), equations 1 to 4.
    """
    images, channels, height, width = feat.shape
    activity = feat.abs()
    places = F.softmax(activity.mean(dim=1).flatten(1) / temperature, dim=1).view(images, 1, height, width)
    uses = F.softmax(activity.mean(dim=(2, 3)) / temperature, dim=1).view(images, channels, 1, 1)
    return height * width * places, channels * uses
