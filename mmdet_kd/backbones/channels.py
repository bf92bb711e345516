"""How many channels the pictures have that a backbone takes."""

from mmdet.models.backbones.csp_darknet import Focus
from torch import nn


def picture_channels(backbone: nn.Module) -> int:
    """Channels of the pictures that a backbone takes: those of its first convolution.

    A ``Focus`` (YOLOX) lays four neighbours one upon another before its convolution, which takes four times as many.

    Args:
        backbone: its first convolution is the first that it registers, as in every backbone of mmdet.

    Returns:
        3, as of a colour picture, where there is no convolution.
    """
    for part in backbone.modules():
        if isinstance(part, Focus):
            return part.conv.conv.in_channels // 4
        if isinstance(part, nn.Conv2d):
            return part.in_channels
    return 3
