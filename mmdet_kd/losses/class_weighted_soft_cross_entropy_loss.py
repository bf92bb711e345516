"""The soft classification loss of Chen et al. as a registered module."""

from mmdet.registry import MODELS
from torch import Tensor

from .checks import check_range
from .compares import Compares
from .functional import class_weighted_soft_cross_entropy
from .logits_loss import LogitsLoss


@MODELS.register_module()
class ClassWeightedSoftCrossEntropyLoss(LogitsLoss):
    """Cross entropy towards the teacher's class distribution, with the background weighted on its own.

    See :func:`~mmdet_kd.losses.functional.class_weighted_soft_cross_entropy`.

    Args:
        background_weight: weight of the background, the last class; >= 0. 1 gives the plain soft loss.
        temperature: softens both distributions; > 0.
        loss_weight: multiplies the result; >= 0.
    """

    compares: Compares = 'softmax scores'

    def __init__(self, background_weight: float = 1.5, temperature: float = 1.0, loss_weight: float = 1.0) -> None:
        super().__init__(temperature, loss_weight)
        self.background_weight = check_range('background_weight', background_weight, at_least=0)

    def rows(self, logits_s: Tensor, logits_t: Tensor) -> Tensor:
        """See :class:`LogitsLoss`."""
        return class_weighted_soft_cross_entropy(
            logits_s, logits_t, background_weight=self.background_weight, temperature=self.temperature
        )
