"""A 3x3 convolution between a student map and a teacher map."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .grid import to_grid


@MODELS.register_module()
class Conv3x3Adapter(nn.Module):
    """Brings a student map to the teacher's channels and grid; each cell is told its neighbours.

    Args:
        in_channels: channels of the student map; a distiller fills them in when they are not told.
        out_channels: channels of the teacher map; likewise.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Adapt ``feat_s`` (N, C_s, H_s, W_s) to the shape of ``feat_t`` (N, C_t, H_t, W_t)."""
        return to_grid(self.conv(feat_s), feat_t.shape[-2:])
