"""Maps whose channels are brought to a mean of 0 and a variance of 1."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .conv_adapter import PointwiseConv
from .grid import to_grid


@MODELS.register_module()
class NormAdapter(nn.Module):
    """Batch norm that neither learns nor remembers: each channel gets mean 0 and variance 1 over the batch's places.

    It is for either side, so that a loss does not depend on how strong a channel is on one of them. It is computed in
    single precision, in training and in eval mode alike. The statistics are those of a rank's batch; a training whose
    config says ``sync_bn='torch'`` takes them over all ranks.

    Args:
        in_channels: channels of the map; a distiller fills them in when they are not told.
        out_channels: the same; a 1x1 convolution that changes them is that of a NormConvAdapter.

    Raises:
        ValueError: the two differ.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        if in_channels != out_channels:
            raise ValueError(
                f'NormAdapter keeps {in_channels} channels, and {out_channels} are wanted: take a NormConvAdapter'
            )
        self.norm = nn.BatchNorm2d(out_channels, affine=False, track_running_stats=False)

    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Of ``feat_s`` (N, C, H_s, W_s), normalised, a map of the grid of ``feat_t`` (N, C, H_t, W_t)."""
        return to_grid(_normalise(self.norm, feat_s), feat_t.shape[-2:])


@MODELS.register_module()
class NormConvAdapter(nn.Module):
    """A 1x1 convolution without a bias, and then the norm of a :class:`NormAdapter`, for the student's maps.

    Args:
        in_channels: channels of the student map; a distiller fills them in when they are not told.
        out_channels: channels of the teacher map; likewise.

    Source: the distillation configs of RTMDet in MMYOLO.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = PointwiseConv(in_channels, out_channels, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, affine=False, track_running_stats=False)

    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Adapt ``feat_s`` (N, C_s, H_s, W_s) to the shape of ``feat_t`` (N, C_t, H_t, W_t)."""
        return to_grid(_normalise(self.norm, self.conv(feat_s)), feat_t.shape[-2:])


def _normalise(norm: nn.Module, feat: Tensor) -> Tensor:
    feat = feat if feat.dtype.itemsize >= 4 else feat.float()
    if feat.numel() == feat.shape[1]:  # torch refuses one place a channel, whose deviation from its own mean is 0
        return 0 * feat
    return norm(feat)
