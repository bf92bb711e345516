"""The teacher-bounded regression loss of Chen et al. as a registered module."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .compares import Compares
from .functional import teacher_bounded_l2, weighted_average
from .precision import in_full_precision


@MODELS.register_module()
class TeacherBoundedL2Loss(nn.Module):
    """Squared error of the student's deltas while it is not below the teacher's.

    See :func:`~mmdet_kd.losses.functional.teacher_bounded_l2`.

    Args:
        margin: m of the paper, in squared deltas; >= 0. A huge one, 1e9 say, gives the plain L2 of the ablation; so
            does ``float('inf')``, with which a config cannot be saved.
        loss_weight: nu of the paper; >= 0.
    """

    compares: Compares = 'boxes'

    def __init__(self, margin: float = 0.0, loss_weight: float = 0.5) -> None:
        super().__init__()
        self.margin = check_range('margin', margin, at_least=0, finite=False)
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)

    @in_full_precision
    def forward(
        self,
        pred: Tensor,
        teacher_pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        """Compare student deltas (n, 4) and teacher deltas (n, 4) with the targets (n, 4).

        Args:
            pred: receives gradient.
            teacher_pred: constant.
            target: constant.
            weight: (n,) or, as mmdet's ``bbox_weights``, (n, 4).
            avg_factor: the denominator; n if not given.

        Returns:
            A scalar.
        """
        loss = teacher_bounded_l2(pred, teacher_pred, target, margin=self.margin, weight=weight)
        return self.loss_weight * weighted_average(loss, avg_factor=avg_factor)
