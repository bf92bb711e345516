"""How many channels the pictures have that a backbone takes."""

import copy

from mmdet.models.backbones.csp_darknet import Focus
from torch import Tensor, nn


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


def shapes_only(network: nn.Module) -> nn.Module:
    """A copy in eval mode, whose maps have the shapes of the network's and no more.

    Its batch norms hand on what they get, which changes no shape: torch computes those of the meta device in Python,
    which takes most of a forward pass there.
    """
    network = copy.deepcopy(network)
    network.eval()  # some backbones of mmdet return nothing here
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
            module.forward = _as_it_comes
    return network


def _as_it_comes(maps: Tensor) -> Tensor:
    return maps
