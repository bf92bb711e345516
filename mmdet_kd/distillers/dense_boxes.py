"""The boxes of a dense head's priors: those that it predicts, and those that it was trained towards."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import ATSSHead, FCOSHead, GFLHead, RetinaHead, SSDHead
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn


class DenseBoxes:
    """Decodes what one kind of dense head regresses.

    Args:
        head: the student's own, which is not registered here.
    """

    #: Numbers that the head regresses for a prior.
    channels = 4

    def __init__(self, head: nn.Module) -> None:
        self._generator, self._coder = head.prior_generator, head.bbox_coder

    def priors(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> tuple[Tensor, Tensor]:
        """The priors (M, 4), or points (M, 2), of maps of these sizes, and the strides (M, 1) of their levels."""
        levels = [get_box_tensor(level) for level in self._generator.grid_priors(sizes, device=device)]
        strides = [
            level.new_full((len(level), 1), stride[0])
            for level, stride in zip(levels, self._generator.strides, strict=True)
        ]
        return torch.cat(levels), torch.cat(strides)

    @abstractmethod
    def predicted(self, regressed: Tensor, priors: Tensor, strides: Tensor) -> Tensor:
        """Boxes (K, 4), xyxy, pixels.

        Args:
            regressed: (K, channels), as the head's ``forward`` gives it in training; receives gradient.
            priors: (K, 4), or points (K, 2).
            strides: (K, 1).
        """

    @abstractmethod
    def assigned(self, targets: Tensor, priors: Tensor, strides: Tensor) -> Tensor:
        """The true boxes (K, 4) that are assigned to priors, from the head's targets (K, 4)."""

    def _decode(self, priors: Tensor, deltas: Tensor) -> Tensor:
        return get_box_tensor(self._coder.decode(priors, deltas))


class AnchorBoxes(DenseBoxes):
    """Deltas of anchors: SSD, RetinaNet, ATSS."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        self._decoded = head.reg_decoded_bbox

    def predicted(self, regressed: Tensor, priors: Tensor, strides: Tensor) -> Tensor:
        """See :class:`DenseBoxes`."""
        return self._decode(priors, regressed)

    def assigned(self, targets: Tensor, priors: Tensor, strides: Tensor) -> Tensor:
        """See :class:`DenseBoxes`."""
        return targets if self._decoded else self._decode(priors, targets)


class PointBoxes(DenseBoxes):
    """Distances of points from the four sides, in pixels or in strides: FCOS."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        self._in_strides = head.norm_on_bbox

    def predicted(self, regressed: Tensor, priors: Tensor, strides: Tensor) -> Tensor:
        """See :class:`DenseBoxes`."""
        return self._decode(priors, regressed * strides if self._in_strides else regressed)

    def assigned(self, targets: Tensor, priors: Tensor, strides: Tensor) -> Tensor:
        """See :class:`DenseBoxes`."""
        return self.predicted(targets, priors, strides)


class DistributionBoxes(DenseBoxes):
    """Distributions of the distances of anchors' centres from the four sides, in strides: GFL."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        self.channels = 4 * (head.reg_max + 1)
        self._integral = head.integral

    def predicted(self, regressed: Tensor, priors: Tensor, strides: Tensor) -> Tensor:
        """See :class:`DenseBoxes`."""
        centres = (priors[:, :2] + priors[:, 2:]) / 2
        return self._decode(centres, self._integral(regressed) * strides)

    def assigned(self, targets: Tensor, priors: Tensor, strides: Tensor) -> Tensor:
        """See :class:`DenseBoxes`."""
        return targets


_KINDS = {
    SSDHead: AnchorBoxes,
    RetinaHead: AnchorBoxes,
    ATSSHead: AnchorBoxes,
    FCOSHead: PointBoxes,
    GFLHead: DistributionBoxes,
}


def dense_boxes_of(head: nn.Module) -> DenseBoxes | None:
    """What decodes a head; None where it is of no kind that is known.

    A subclass is of its base's kind if it makes its targets and regresses as that one does (VFNet's and PAA's do not).
    """
    for base, kind in _KINDS.items():
        if isinstance(head, base) and all(
            getattr(type(head), name) is getattr(base, name) for name in ('get_targets', 'loss_by_feat', 'forward')
        ):
            return kind(head)
    return None
