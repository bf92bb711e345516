"""FGD as a registered module."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from .checks import check_range
from .compares import Compares
from .frame import Frame
from .functional import attention, attention_loss, focal_loss, focal_masks, places_taken
from .precision import in_full_precision


@MODELS.register_module()
class FGDLoss(nn.Module):
    r"""Compares maps inside and outside of the true boxes, where the teacher looks, and as a whole (FGD).

    .. math:: L = \alpha L_{fg} + \beta L_{bg} + \gamma L_{att} + \lambda L_{glob}

    See :func:`~mmdet_kd.losses.functional.focal_loss`, :func:`~mmdet_kd.losses.functional.attention_loss` and
    :class:`GlobalContext`. The default weights are the authors' for RetinaNet and GFL.

    Args:
        channels: of the two maps, of which the student's is adapted; filled in.
        temperature: of the attention, > 0.
        foreground_weight: alpha >= 0.
        background_weight: beta >= 0.
        attention_weight: gamma >= 0.
        global_weight: lambda >= 0.
        loss_weight: of the whole, >= 0.

    Source: Yang et al., CVPR 2022 (FGD).
    """

    compares: Compares = 'maps'
    needs_frame = True

    def __init__(
        self,
        channels: int,
        temperature: float = 0.5,
        foreground_weight: float = 1e-3,
        background_weight: float = 5e-4,
        attention_weight: float = 5e-4,
        global_weight: float = 5e-6,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.temperature = check_range('temperature', temperature, above=0)
        self.foreground_weight = check_range('foreground_weight', foreground_weight, at_least=0)
        self.background_weight = check_range('background_weight', background_weight, at_least=0)
        self.attention_weight = check_range('attention_weight', attention_weight, at_least=0)
        self.global_weight = check_range('global_weight', global_weight, at_least=0)
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)
        self.student_context = GlobalContext(channels)
        self.teacher_context = GlobalContext(channels)

    @in_full_precision
    def forward(self, feat_s: Tensor, feat_t: Tensor, frame: Frame) -> Tensor:
        """Compare a student map with a teacher map of the same shape; returns a scalar."""
        feat_t = feat_t.detach()
        attention_s, attention_t = (attention(feat, self.temperature) for feat in (feat_s, feat_t))
        masks = focal_masks(frame.boxes, frame.valid)
        foreground, background = focal_loss(feat_s, feat_t, *masks, attention_t)
        whole = F.mse_loss(self.student_context(feat_s), self.teacher_context(feat_t), reduction='sum')
        loss = (
            self.foreground_weight * foreground
            + self.background_weight * background
            + self.attention_weight * attention_loss(attention_s, attention_t)
            + self.global_weight * whole / max(len(feat_s), 1)
        )
        return self.loss_weight * loss

    @in_full_precision
    def places_taken(self, feat_t: Tensor) -> Tensor:
        """Over how many places the attention to a teacher map (N, C, H, W) spreads; (N,)."""
        places, _ = attention(feat_t, self.temperature)  # of mean 1
        return places_taken(places.flatten(1) / places[0].numel())


class GlobalContext(nn.Module):
    r"""A map and what it says as a whole: :math:`F + W_2 \mathrm{ReLU}(\mathrm{LN}(W_1 \sum_{hw} k F))`.

    k is a softmax over the places. The last layer begins at 0, so that at first the map comes out as it is.

    Args:
        channels: of the map.

    Source: Yang et al., CVPR 2022 (FGD), equation 11; Cao et al., ICCV workshops 2019 (GCNet).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 2, 1)
        self.mask = nn.Conv2d(channels, 1, kernel_size=1)
        nn.init.kaiming_normal_(self.mask.weight, mode='fan_in')
        last = nn.Linear(hidden, channels)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.transform = nn.Sequential(nn.Linear(channels, hidden), nn.LayerNorm(hidden), nn.ReLU(inplace=True), last)

    def forward(self, feat: Tensor) -> Tensor:
        """Of a map (N, C, H, W), the same shape."""
        places = torch.softmax(self.mask(feat).flatten(1), dim=1)
        context = torch.einsum('nck,nk->nc', feat.flatten(2), places)
        return feat + self.transform(context)[..., None, None]
