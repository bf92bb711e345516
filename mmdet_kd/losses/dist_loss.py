"""DIST as a registered module."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .functional import class_relations, row_relations
from .precision import in_full_precision


@MODELS.register_module()
class DISTLoss(nn.Module):
    r"""Brings the relations between scores near the teacher's, not the scores themselves (DIST).

    .. math:: L = \tau^2 (\beta L_{rows} + \gamma L_{classes})

    See :func:`~mmdet_kd.losses.functional.row_relations` and :func:`~mmdet_kd.losses.functional.class_relations`. The
    scores are those of a softmax, or of sigmoids. Correlations over the rows are those of a rank's own batch.

    Args:
        row_weight: beta, >= 0.
        class_weight: gamma, >= 0.
        temperature: tau > 0; softens the scores. The authors have none; mmrazor added it.
        loss_weight: multiplies the result; >= 0.
        use_sigmoid: the logits are of a sigmoid for each class, not of one softmax over all.
    """

    #: A dense head's scores are given map by map, see :class:`~mmdet_kd.distillers.DenseHeadDistiller`.
    relates_scores = True

    def __init__(
        self,
        row_weight: float = 1.0,
        class_weight: float = 1.0,
        temperature: float = 1.0,
        loss_weight: float = 1.0,
        use_sigmoid: bool = False,
    ) -> None:
        super().__init__()
        self.row_weight = check_range('row_weight', row_weight, at_least=0)
        self.class_weight = check_range('class_weight', class_weight, at_least=0)
        self.temperature = check_range('temperature', temperature, above=0)
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)
        self.use_sigmoid = use_sigmoid
        self.compares = 'sigmoid scores' if use_sigmoid else 'softmax scores'

    @in_full_precision
    def forward(
        self,
        logits_s: Tensor,
        logits_t: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        """Compare student logits with teacher logits, (n, C) both.

        Args:
            logits_s: receives gradient.
            logits_t: constant.
            weight: weight of each row (n,).
            avg_factor: denominator of the mean over the rows; the sum of the weights if not given.

        Returns:
            A scalar.

        Raises:
            ValueError: there are fewer than three columns: two always go together, or against each other.
        """
        if logits_s.shape[1] < 3:
            raise ValueError(f'it relates the scores of a row to each other, and a row has {logits_s.shape[1]} of them')
        scores = torch.sigmoid if self.use_sigmoid else _softmax
        scores_s, scores_t = (scores(logits / self.temperature) for logits in (logits_s, logits_t))
        loss = self.row_weight * row_relations(scores_s, scores_t, weight, avg_factor)
        loss = loss + self.class_weight * class_relations(scores_s, scores_t, weight)
        return self.loss_weight * self.temperature**2 * loss


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1)
