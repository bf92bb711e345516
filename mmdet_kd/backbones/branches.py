"""How many maps a backbone gives of each picture."""

from mmdet.models.backbones import TridentResNet
from torch import nn


def maps_of_a_picture(backbone: nn.Module, training: bool) -> int:
    """The number of maps of each picture at every level: a TridentNet gives one a branch, every other backbone one.

    Args:
        backbone: of a detector.
        training: whether it is asked in training mode. In eval mode a TridentNet gives those of one branch, unless its
            ``test_branch_idx`` is -1.

    Returns:
        The number; maps of all pictures by the first branch come first, then those by the second.

    Source: ``TridentResNet`` and ``TridentBottleneck.forward`` of mmdet.
    """
    if not isinstance(backbone, TridentResNet):
        return 1
    return backbone.num_branch if training or backbone.test_branch_idx == -1 else 1
