"""AlexNet."""

from functools import partial

from mmdet.registry import MODELS
from torch import nn

from .conv_stack import Conv, ConvStack
from .lrn import LocalResponseNorm

_LRN = partial(LocalResponseNorm, size=5, alpha=1e-4, beta=0.75, k=1.0)
_POOL = partial(nn.MaxPool2d, kernel_size=3, stride=2, padding=1)
_TABLES = {
    2: (
        *(Conv(96, 11, stride=4), _LRN, _POOL),
        *(Conv(256, 5, groups=2), _LRN, _POOL),
        *(Conv(384, 3), Conv(384, 3, groups=2), Conv(256, 3, groups=2)),
    ),
    1: (
        *(Conv(64, 11, stride=4), _POOL),
        *(Conv(192, 5), _POOL),
        *(Conv(384, 3), Conv(256, 3), Conv(256, 3)),
    ),
}


@MODELS.register_module()
class AlexNet(ConvStack):
    """The convolutions of AlexNet, without the last pooling: one map of 256 channels and stride 16.

    Cell (i, j) of the map is centred on pixel (16 i, 16 j), as of mmdet's ResNets and where AnchorGenerator puts its
    anchors. For this every layer is padded by half its kernel, as Fast R-CNN did; the networks that were trained on
    ImageNet pad the first convolution by 0 (Caffe) or 2 (torchvision) and no pooling, which has no weights and moves
    the grid alone.

    Args:
        groups: 2 is the network of the papers: Krizhevsky et al. (NIPS 2012), with the constants of Caffe's
            ``bvlc_alexnet``, which has local response normalisation before the pooling; convolutions are
            ``features.0, 4, 8, 10, 12``. 1 is torchvision's, ungrouped, narrower and without normalisation;
            convolutions are ``features.0, 3, 6, 8, 10``.
        frozen_stages: see :class:`ConvStack`; conv1 is the first, conv2 the second, the rest the third.
        init_cfg: see :class:`ConvStack`.
    """

    def __init__(self, groups: int = 2, frozen_stages: int = 0, init_cfg: dict | list[dict] | None = None) -> None:
        if groups not in _TABLES:
            raise ValueError(f"groups must be 2 (the papers') or 1 (torchvision's), not {groups!r}")
        super().__init__(_TABLES[groups], frozen_stages, init_cfg)
