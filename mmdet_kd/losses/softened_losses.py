"""The softened divergences as registered modules."""

from mmdet.registry import MODELS
from torch import Tensor

from .compares import Compares
from .functional import softened_bce, softened_kl, softened_sigmoid_kl
from .logits_loss import LogitsLoss


@MODELS.register_module()
class SoftenedKLLoss(LogitsLoss):
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
        self.compares = 'sigmoid scores' if use_sigmoid else 'softmax scores'

    def rows(self, logits_s: Tensor, logits_t: Tensor) -> Tensor:
        """See :class:`LogitsLoss`."""
        divergence = softened_sigmoid_kl if self.use_sigmoid else softened_kl
        return divergence(logits_s, logits_t, temperature=self.temperature)


@MODELS.register_module()
class SoftenedBCELoss(LogitsLoss):
    """Binary cross entropy towards the teacher's softened sigmoids.

    See :func:`~mmdet_kd.losses.functional.softened_bce`.

    Args:
        temperature: softens both distributions; > 0.
        loss_weight: multiplies the result; >= 0.
    """

    compares: Compares = 'sigmoid scores'

    def __init__(self, temperature: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__(temperature, loss_weight)

    def rows(self, logits_s: Tensor, logits_t: Tensor) -> Tensor:
        """See :class:`LogitsLoss`."""
        return softened_bce(logits_s, logits_t, temperature=self.temperature)
