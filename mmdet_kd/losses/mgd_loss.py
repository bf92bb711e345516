"""MGD as a registered module."""

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .compares import Compares
from .frame import Frame
from .functional import masked_generation
from .precision import in_full_precision


@MODELS.register_module()
class MGDLoss(nn.Module):
    """Has a small network generate the teacher's map from a student's map with random holes (MGD).

    See :func:`~mmdet_kd.losses.functional.masked_generation`. The network is two 3x3 convolutions with a ReLU between
    them; each level has its own, which is trained with the student and left out afterwards.

    Args:
        student_channels: of the student's map, adapted or not; filled in.
        teacher_channels: of the teacher's; filled in.
        mask_ratio: share of the places that are masked, in [0, 1); 0.65 for one-stage detectors, 0.45 for two-stage
            ones in the paper.
        loss_weight: alpha >= 0; 2e-5 for one-stage detectors, 5e-7 for two-stage ones in the paper.
    """

    compares: Compares = 'maps'
    needs_frame = True

    def __init__(
        self, student_channels: int, teacher_channels: int, mask_ratio: float = 0.65, loss_weight: float = 2e-5
    ) -> None:
        super().__init__()
        self.mask_ratio = check_range('mask_ratio', mask_ratio, at_least=0)
        if mask_ratio >= 1:
            raise ValueError(f'mask_ratio must be less than 1, not {mask_ratio}')
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)
        self.generation = nn.Sequential(
            nn.Conv2d(student_channels, teacher_channels, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(teacher_channels, teacher_channels, kernel_size=3, padding=1),
        )

    @in_full_precision
    def forward(self, feat_s: Tensor, feat_t: Tensor, frame: Frame) -> Tensor:
        """Compare a student map with a teacher map of the same height and width; returns a scalar."""
        drawn = torch.rand(len(feat_s), 1, *feat_s.shape[-2:], generator=frame.generator, device=feat_s.device)
        return self.loss_weight * masked_generation(feat_s, feat_t, drawn >= self.mask_ratio, self.generation)
