"""CWD as a registered module."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .compares import Compares
from .functional import channel_wise_kl, places_taken
from .precision import in_full_precision


@MODELS.register_module()
class CWDLoss(nn.Module):
    """Divergence of where each channel of two maps is active (CWD).

    See :func:`~mmdet_kd.losses.functional.channel_wise_kl`.

    Args:
        temperature: tau > 0; 1 for maps of a neck.
        loss_weight: >= 0; 10 for maps of a neck.
    """

    compares: Compares = 'maps'

    def __init__(self, temperature: float = 1.0, loss_weight: float = 10.0) -> None:
        super().__init__()
        self.temperature = check_range('temperature', temperature, above=0)
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)

    @in_full_precision
    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Compare a student map with a teacher map of the same shape; returns a scalar."""
        return self.loss_weight * channel_wise_kl(feat_s, feat_t, temperature=self.temperature)

    @in_full_precision
    def places_taken(self, feat_t: Tensor) -> Tensor:
        """Over how many places of a teacher map (N, C, H, W) the softmax of each channel spreads; (N, C)."""
        return places_taken((feat_t.flatten(2) / self.temperature).softmax(dim=-1))
