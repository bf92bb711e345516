"""A linear layer between a student vector and a teacher vector."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .grid import to_grid


@MODELS.register_module()
class LinearAdapter(nn.Module):
    """Brings student vectors to the teacher's width; a map is taken as one vector a cell.

    Args:
        in_channels: width of the student vector; a distiller fills it in when it is not told.
        out_channels: width of the teacher vector; likewise.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels)

    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Adapt vectors (n, C_s) to (n, C_t), or a map (N, C_s, H_s, W_s) to (N, C_t, H_t, W_t)."""
        if feat_s.dim() == 2:
            return self.linear(feat_s)
        return to_grid(self.linear(feat_s.movedim(1, -1)).movedim(-1, 1), feat_t.shape[-2:])
