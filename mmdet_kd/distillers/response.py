"""What the distillers of predictions share: the mix of hard and soft classification, and bounded regression."""

import torch
from mmdet.registry import MODELS
from mmdet.utils import reduce_mean
from torch import Tensor

from ..errors import raise_if_any
from .base import BaseDistiller, has_weight, try_out


class ResponseDistiller(BaseDistiller):
    r"""Base of the distillers that compare class scores and box regressions.

    .. math:: L_{cls} = \mu L_{hard} + (1 - \mu) L_{soft}, \qquad L_{reg} = L_{hard} + \nu L_b

    nu is the ``loss_weight`` of ``loss_bbox``.

    Args:
        loss_cls: config of the soft loss, called with (student logits, teacher logits, weight, avg_factor); None
            leaves the classification alone.
        loss_bbox: config of the regression loss, called with (pred, teacher_pred, target, weight, avg_factor); None
            leaves the regression alone.
        mu: share of the student's own classification loss, in [0, 1]. Without ``loss_cls`` it plays no part.
        weight: see :class:`BaseDistiller`; the student's own classification loss counts 1 - weight (1 - mu) then.
    """

    def __init__(self, loss_cls: dict | None, loss_bbox: dict | None, mu: float, weight: float) -> None:
        super().__init__(weight)
        problems = []
        if loss_cls is None and loss_bbox is None:
            problems.append(
                f'{type(self).__name__}: neither loss_cls nor loss_bbox is given: nothing would be distilled'
            )
        if not isinstance(mu, (int, float)) or not 0 <= mu <= 1:
            problems.append(f'{type(self).__name__}: mu must lie in [0, 1], not {mu!r}')
        raise_if_any(problems)
        self.mu = float(mu)
        self.loss_cls = None if loss_cls is None else MODELS.build(loss_cls)
        self.loss_bbox = None if loss_bbox is None else MODELS.build(loss_bbox)
        self.parts = tuple(part for part, loss in (('cls', loss_cls), ('bbox', loss_bbox)) if loss is not None)
        self._try_out()

    @property
    def is_active(self) -> bool:
        """Whether soft classification or bounded regression counts at present."""
        soft = has_weight(self.loss_cls) and self.mu < 1
        return super().is_active and (soft or has_weight(self.loss_bbox))

    @property
    def hard_share(self) -> float:
        """The factor on the student's own classification loss; (1 - factor) is the weight of the soft one."""
        return 1.0 if self.loss_cls is None else self.weight * self.mu + (1 - self.weight)

    def soft_loss(self, logits_s: Tensor, logits_t: Tensor, weight: Tensor, avg_factor: Tensor) -> Tensor:
        """(1 - mu) L_soft, for logits (n, C + 1)."""
        return (1 - self.mu) * self.loss_cls(logits_s, logits_t, weight, avg_factor=avg_factor)

    def _try_out(self) -> None:
        weight, logits, deltas = torch.ones(1), torch.zeros(1, 3), torch.zeros(1, 4)
        if self.loss_cls is not None:
            try_out('loss_cls', lambda: self.loss_cls(logits, logits, weight, avg_factor=1.0))
        if self.loss_bbox is not None:
            try_out('loss_bbox', lambda: self.loss_bbox(deltas, deltas, deltas, weight[:, None], avg_factor=1.0))


def mean_over_ranks(count: float | Tensor, device: torch.device) -> Tensor:
    """A denominator, at least 1, averaged over the ranks.

    The gradients of the ranks are averaged too; so together they are the gradient of the joined batch.
    """
    if not isinstance(count, Tensor):
        count = torch.full((), count, device=device)  # filled on the device: copying a number there would wait for it
    return reduce_mean(count.float()).clamp(min=1)
