"""What the losses of class scores share."""

from abc import abstractmethod

from torch import Tensor, nn

from .checks import check_range
from .compares import Compares
from .functional import weighted_average
from .precision import in_full_precision


class LogitsLoss(nn.Module):
    """Base of the losses that compare the class scores of two heads row by row.

    Args:
        temperature: softens both distributions; > 0.
        loss_weight: multiplies the result; >= 0.
    """

    #: Said by each loss for itself.
    compares: Compares

    def __init__(self, temperature: float, loss_weight: float) -> None:
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
        """Compare student logits with teacher logits, (n, C) both; a softmax with a background has it last.

        Args:
            logits_s: receives gradient.
            logits_t: constant.
            weight: weight of each row (n,).
            avg_factor: the denominator; n if not given.

        Returns:
            A scalar.
        """
        return self.loss_weight * weighted_average(self.rows(logits_s, logits_t), weight, avg_factor)

    @abstractmethod
    def rows(self, logits_s: Tensor, logits_t: Tensor) -> Tensor:
        """The loss of each row (n,)."""
