"""A 3x3 convolution between a student map and a teacher map."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .grid import to_grid


@MODELS.register_module()
class Conv3x3Adapter(nn.Module):
    """Brings a student map to the teacher's channels and grid by a 3x3 convolution. Dropped after the training.

    Args:
        in_channels: channels of the student map; a distiller fills them in when they are not told.
        out_channels: channels of the teacher map; likewise.
        relu: whether a ReLU follows. It suits maps of a backbone, whose values are at least 0; it cannot match the
            negative values of a neck.
        init_std: the weights begin from a normal distribution of this deviation, cut off at two deviations, and the
            bias from 0. None: as torch initialises a convolution.

    Source: Wang et al., CVPR 2019 (FGFI), whose adapter has a ReLU and ``init_std=1e-4``.
    """

    def __init__(self, in_channels: int, out_channels: int, relu: bool = False, init_std: float | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
        self.activation = nn.ReLU() if relu else nn.Identity()
        if init_std is not None:
            nn.init.trunc_normal_(self.conv.weight, std=init_std, a=-2 * init_std, b=2 * init_std)
            nn.init.zeros_(self.conv.get_parameter('bias'))

    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Adapt ``feat_s`` (N, C_s, H_s, W_s) to the shape of ``feat_t`` (N, C_t, H_t, W_t)."""
        return to_grid(self.activation(self.conv(feat_s)), feat_t.shape[-2:])
