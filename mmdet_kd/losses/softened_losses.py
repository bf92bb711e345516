"""The softened divergences as registered modules."""

from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .functional import softened_bce, softened_kl, softened_sigmoid_kl, weighted_average
from .precision import in_full_precision


class _SoftenedLoss(nn.Module):
    def __init__(self, temperature: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__()
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
        """Compare student logits (n, C) with teacher logits (n, C).

        Args:
            logits_s: receives gradient.
            logits_t: constant.
            weight: weight of each row (n,).
            avg_factor: the denominator; n if not given.

        Returns:
            A scalar.
        """
        return self.loss_weight * weighted_average(self._rows(logits_s, logits_t), weight, avg_factor)

    def _rows(self, logits_s: Tensor, logits_t: Tensor) -> Tensor:
        raise NotImplementedError


@MODELS.register_module()
class SoftenedKLLoss(_SoftenedLoss):
    """Divergence of the teacher's softened class distribution from the student's.

    See :func:`~mmdet_kd.losses.functional.softened_kl` and, for sigmoids,
    :func:`~mmdet_kd.losses.functional.softened_sigmoid_kl`.

    Args:
        temperature: softens both distributions; > 0.
        loss_weight: multiplies the result; >= 0.
        use_sigmoid: the logits are of a sigmoid for each class, not of one softmax over all.
    """

    def __init__(self, temperature: float = 2.0, loss_weight: float = 1.0, use_sigmoid: bool = False) -> None:
        super().__init__(temperature, loss_weight)
        self.use_sigmoid = use_sigmoid

    def _rows(self, logits_s: Tensor, logits_t: Tensor) -> Tensor:
        divergence = softened_sigmoid_kl if self.use_sigmoid else softened_kl
        return divergence(logits_s, logits_t, temperature=self.temperature)


@MODELS.register_module()
class SoftenedBCELoss(_SoftenedLoss):
    """Binary cross entropy towards the teacher's softened sigmoids.

    See :func:`~mmdet_kd.losses.functional.softened_bce`.

    Args:
        temperature: softens both distributions; > 0.
        loss_weight: multiplies the result; >= 0.
    """

    use_sigmoid = True

    def _rows(self, logits_s: Tensor, logits_t: Tensor) -> Tensor:
        return softened_bce(logits_s, logits_t, temperature=self.temperature)
