"""FGFI as a registered module."""

from typing import Literal, get_args

from mmdet.registry import MODELS
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from .checks import check_range
from .compares import Compares
from .frame import Frame
from .functional import anchor_mask, imitation_loss
from .precision import in_full_precision

Maximum = Literal['all levels', 'level']


@MODELS.register_module()
class FGFILoss(nn.Module):
    r"""Squared distance of two maps near the objects: where an anchor comes near to a true box (FGFI).

    .. math:: L = \frac{\lambda}{2 N_p} \sum_{n, h, w} M_{nhw} \sum_c (F_s - F_t)^2

    A cell is on if the IoU of one of its anchors with a true box is above ``threshold`` times the largest IoU that the
    box has. See :func:`~mmdet_kd.losses.functional.anchor_mask`.

    It is a sum over the channels, and a mean over the cells N_p of the batch that are on, averaged over the ranks and
    at least 1. Each level has an N_p of its own; the distiller's ``reduction`` joins the levels.

    Args:
        threshold: share of the largest IoU, in [0, 1).
        maximum: over what the largest IoU of a box is taken: the anchors of 'all levels' that are compared, so that a
            box is learnt on the levels that fit its size; or those of the 'level', so that each level learns each box.
        loss_weight: lambda >= 0; 0.01 in the paper.

    Source: Wang et al., CVPR 2019 (FGFI).
    Differs: the paper has one level. Padding counts neither in the mask nor for the largest IoU. LD's reproduction on
        GFL takes the mean over the channels and no half: of C channels, that is ``loss_weight=2 / C`` for each unit of
        its weight.
    """

    compares: Compares = 'maps'
    needs_frame = True
    needs_anchors = True

    def __init__(self, threshold: float = 0.5, maximum: Maximum = 'all levels', loss_weight: float = 0.01) -> None:
        super().__init__()
        self.threshold = check_range('threshold', threshold, at_least=0)
        if threshold >= 1:
            raise ValueError(f'threshold must be less than 1, not {threshold}')
        if maximum not in get_args(Maximum):
            raise ValueError(f'maximum must be one of {get_args(Maximum)}, not {maximum!r}')
        self.maximum = maximum
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)

    @in_full_precision
    def forward(self, feat_s: Tensor, feat_t: Tensor, frame: Frame) -> Tensor:
        """Compare a student map with a teacher map of the same shape; returns a scalar."""
        anchors = frame.anchors
        assert anchors is not None  # since needs_anchors is True
        best = anchors.best_of_all_levels if self.maximum == 'all levels' else anchors.best
        mask = anchor_mask(frame.boxes, frame.valid, anchors.first, anchors.spacing, self.threshold * best)
        count = reduce_mean(mask.sum().to(feat_s.dtype)).clamp(min=1)
        return self.loss_weight * imitation_loss(feat_s, feat_t, mask, count)
