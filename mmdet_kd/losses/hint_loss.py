"""The hint loss as a registered module."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .compares import Compares
from .functional import HintNorm, hint_loss
from .precision import in_full_precision


@MODELS.register_module()
class HintLoss(nn.Module):
    """Mean distance between an adapted student map and the teacher's.

    See :func:`~mmdet_kd.losses.functional.hint_loss`.

    Args:
        norm: 'l2', squared, or 'l1'.
        loss_weight: gamma of the paper; >= 0.
    """

    compares: Compares = 'maps'

    def __init__(self, norm: HintNorm = 'l2', loss_weight: float = 0.5) -> None:
        super().__init__()
        if norm not in ('l2', 'l1'):
            raise ValueError(f"norm must be 'l2' or 'l1', not {norm!r}")
        self.norm = norm
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)

    @in_full_precision
    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Compare a student map with a teacher map of the same shape; returns a scalar."""
        return self.loss_weight * hint_loss(feat_s, feat_t, norm=self.norm)
