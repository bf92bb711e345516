"""What the distillers of predictions share: the mix of hard and soft classification, and bounded regression."""

import torch
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from ..errors import raise_if_any
from .base import BaseDistiller, has_weight
from .shares import Claim


class ResponseDistiller(BaseDistiller):
    r"""Base of the distillers that compare class scores and box regressions.

    .. math:: L_{cls} = \mu L_{hard} + (1 - \mu) L_{soft}, \qquad L_{reg} = L_{hard} + \nu L_b

    nu is the ``loss_weight`` of ``loss_bbox``. ``forward`` returns the bare L_soft. The detector mixes the two, since
    other distillers may claim L_hard too; see :mod:`~mmdet_kd.distillers.shares`.

    Args:
        loss_cls: config of the soft loss, called with (student logits, teacher logits, weight, avg_factor); None
            leaves the classification alone.
        loss_bbox: config of the regression loss, called with (pred, teacher_pred, target, weight, avg_factor); None
            leaves the regression alone.
        mu: share of the student's own classification loss, in [0, 1]; None leaves that whole and adds the soft one.
            Without ``loss_cls`` it plays no part.
        weight: see :class:`BaseDistiller`; alone, it leaves the student's own classification loss 1 - weight (1 - mu).
    """

    #: Pattern of the names that the student's ``loss()`` gives to its own classification loss.
    own_loss: str
    #: Class scores of a row, where their number is known before the heads are.
    columns: int = 3

    def __init__(self, loss_cls: dict | None, loss_bbox: dict | None, mu: float | None, weight: float) -> None:
        super().__init__(weight)
        problems = []
        if loss_cls is None and loss_bbox is None:
            problems.append(
                f'{type(self).__name__}: neither loss_cls nor loss_bbox is given: nothing would be distilled'
            )
        if mu is not None and (not isinstance(mu, (int, float)) or not 0 <= mu <= 1):
            problems.append(f'{type(self).__name__}: mu must lie in [0, 1], not {mu!r}')
        raise_if_any(problems)
        self.mu = None if mu is None else float(mu)
        self.loss_cls, self.loss_bbox = self._build_losses(loss_cls, loss_bbox)
        self.parts = tuple(part for part, loss in (('cls', loss_cls), ('bbox', loss_bbox)) if loss is not None)

    @property
    def is_active(self) -> bool:
        """Whether soft classification or bounded regression counts at present."""
        soft = has_weight(self.loss_cls) and (self.mu is None or self.mu < 1)
        return super().is_active and (soft or has_weight(self.loss_bbox))

    @property
    def claim(self) -> Claim | None:
        """Its part of the student's own classification loss, while there is a soft one."""
        claims = self.weight > 0 and self.mu is not None and has_weight(self.loss_cls)
        return Claim(self.own_loss, 'cls', self.mu, self.weight) if claims else None

    def _build_losses(self, cls: dict | None, bbox: dict | None) -> tuple[nn.Module | None, nn.Module | None]:
        weight, logits, deltas = torch.ones(1), torch.zeros(1, self.columns), torch.zeros(1, 4)
        loss_cls = loss_bbox = None
        if cls is not None:  # whatever the head, its scores are brought to a softmax with a background
            loss_cls = self._build_loss(
                'loss_cls', cls, 'softmax scores', lambda loss: loss(logits, logits, weight, avg_factor=1.0)
            )
        if bbox is not None:
            loss_bbox = self._build_loss(
                'loss_bbox',
                bbox,
                'boxes',
                lambda loss: loss(deltas, deltas, deltas, weight[:, None], avg_factor=1.0),
            )
        return loss_cls, loss_bbox


def mean_over_ranks(count: float | Tensor, device: torch.device) -> Tensor:
    """A denominator, at least 1, averaged over the ranks.

    The gradients of the ranks are averaged too; so together they are the gradient of the joined batch.
    """
    if not isinstance(count, Tensor):
        count = torch.full((), count, device=device)  # filled on the device: copying a number there would wait for it
    return reduce_mean(count.float()).clamp(min=1)
