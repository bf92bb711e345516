"""The soft classification loss of Chen et al. as a registered module."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .functional import class_weighted_soft_cross_entropy, weighted_average
from .precision import in_full_precision


@MODELS.register_module()
class ClassWeightedSoftCrossEntropyLoss(nn.Module):
    """Cross entropy towards the teacher's class distribution, with the background weighted on its own.

    See :func:`~mmdet_kd.losses.functional.class_weighted_soft_cross_entropy`.

    Args:
        background_weight: weight of the background, the last class; >= 0. 1 gives the plain soft loss.
        temperature: softens both distributions; > 0.
        loss_weight: multiplies the result; >= 0.
    """

    def __init__(self, background_weight: float = 1.5, temperature: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.background_weight = check_range('background_weight', background_weight, at_least=0)
        self.temperature = check_range('temperature', temperature, above=0)
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)

    @in_full_precision
    def forward(
        self,
        logits_s: Tensor,
        logits_t: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        """Compare student logits (n, C + 1) with teacher logits (n, C + 1), background last.

        Args:
            logits_s: receives gradient.
            logits_t: constant.
            weight: weight of each row (n,).
            avg_factor: the denominator; n if not given.

        Returns:
            A scalar.
        """
        loss = class_weighted_soft_cross_entropy(
            logits_s, logits_t, background_weight=self.background_weight, temperature=self.temperature
        )
        return self.loss_weight * weighted_average(loss, weight, avg_factor)
