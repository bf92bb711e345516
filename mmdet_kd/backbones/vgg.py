"""Two networks of the Visual Geometry Group."""

from functools import partial

from mmdet.registry import MODELS
from torch import nn

from .conv_stack import Conv, ConvStack
from .lrn import LocalResponseNorm

_LRN = partial(LocalResponseNorm, size=5, alpha=5e-4, beta=0.75, k=2.0)
_POOL_M = partial(nn.MaxPool2d, kernel_size=3, stride=2, padding=1)
_POOL_16 = partial(nn.MaxPool2d, kernel_size=2, stride=2, ceil_mode=True)  # Caffe rounds up


@MODELS.register_module()
class VGGM(ConvStack):
    """The convolutions of VGG-M (Chatfield et al., BMVC 2014): one map of 512 channels and stride 16.

    Convolutions are ``features.0, 4, 8, 10, 12``, of the same shape in ``VGG_CNN_M`` and in ``VGG_CNN_M_1024``, which
    Fast and Faster R-CNN use.

    Cell (i, j) of the map is centred on pixel (16 i, 16 j), as of :class:`AlexNet`. The network that was trained on
    ImageNet pads less, and its cells lie 17 pixels further.

    Args:
        frozen_stages: see :class:`ConvStack`; conv1 is the first, conv2 the second, the rest the third.
        init_cfg: see :class:`ConvStack`.
    """

    def __init__(self, frozen_stages: int = 0, init_cfg: dict | list[dict] | None = None) -> None:
        table = (
            *(Conv(96, 7, stride=2), _LRN, _POOL_M),
            *(Conv(256, 5, stride=2), _LRN, _POOL_M),
            *(Conv(512, 3), Conv(512, 3), Conv(512, 3)),
        )
        super().__init__(table, frozen_stages, init_cfg)


@MODELS.register_module()
class VGG16(ConvStack):
    """The convolutions of VGG16 (Simonyan and Zisserman, ICLR 2015): one map of 512 channels and stride 16.

    The modules are named as in torchvision, whose checkpoint loads as it is.

    Cell (i, j) of the map is centred on pixel (16 i + 7.5, 16 j + 7.5), in the middle of the pixels that it replaces,
    because pooling by two has an even kernel. That is where RoIAlign looks for it; AnchorGenerator's anchors, and the
    cells of the other networks here, lie half a cell before. What is constant over the picture, a layer learns.

    Args:
        frozen_stages: see :class:`ConvStack`; a stage is the convolutions conv1_x, conv2_x, ...
        init_cfg: see :class:`ConvStack`.
    """

    def __init__(self, frozen_stages: int = 0, init_cfg: dict | list[dict] | None = None) -> None:
        table = (
            *(Conv(64, 3), Conv(64, 3), _POOL_16),
            *(Conv(128, 3), Conv(128, 3), _POOL_16),
            *(Conv(256, 3), Conv(256, 3), Conv(256, 3), _POOL_16),
            *(Conv(512, 3), Conv(512, 3), Conv(512, 3), _POOL_16),
            *(Conv(512, 3), Conv(512, 3), Conv(512, 3)),
        )
        super().__init__(table, frozen_stages, init_cfg)
