"""A 1x1 convolution where the channels of two maps differ."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .conv_adapter import ConvAdapter
from .grid import to_grid


@MODELS.register_module()
class ChannelAdapter(nn.Module):
    """A :class:`ConvAdapter` where student and teacher have other channels; otherwise nothing is trained.

    Args:
        in_channels: channels of the student map; a distiller fills them in when they are not told.
        out_channels: channels of the teacher map; likewise.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.adapter = None if in_channels == out_channels else ConvAdapter(in_channels, out_channels)

    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Adapt ``feat_s`` (N, C_s, H_s, W_s) to the shape of ``feat_t`` (N, C_t, H_t, W_t)."""
        return to_grid(feat_s, feat_t.shape[-2:]) if self.adapter is None else self.adapter(feat_s, feat_t)
