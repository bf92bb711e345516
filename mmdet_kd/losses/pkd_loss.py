"""PKD as a registered module."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .compares import Compares
from .functional import pearson_loss
from .precision import in_full_precision


@MODELS.register_module()
class PKDLoss(nn.Module):
    """Distance of two maps whose channels are standardised, which is one minus their correlation (PKD).

    See :func:`~mmdet_kd.losses.functional.pearson_loss`.

    Args:
        loss_weight: >= 0; the authors take 6 for two-stage detectors and 10 for RetinaNet.
    """

    compares: Compares = 'maps'

    def __init__(self, loss_weight: float = 6.0) -> None:
        super().__init__()
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)

    @in_full_precision
    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Compare a student map with a teacher map of the same shape; returns a scalar."""
        return self.loss_weight * pearson_loss(feat_s, feat_t)
