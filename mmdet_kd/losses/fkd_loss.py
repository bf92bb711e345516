"""FKD as a registered module."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..adapters import PointwiseConv
from .checks import check_range
from .compares import Compares
from .functional import attention, masked_distance, places_taken, root_distance, shared_attention
from .precision import in_full_precision


@MODELS.register_module()
class FKDLoss(nn.Module):
    r"""Compares maps where the two networks look, their means, and how their places relate to each other (FKD).

    .. math:: L = \alpha L_{mask} + \beta (L_{ch} + L_{sp}) + \gamma L_{nl}

    The terms are Euclidean distances over all pictures of a rank; they grow with the root of their number.

    * mask: of the maps, weighted by the mean attention of both networks, see
      :func:`~mmdet_kd.losses.functional.masked_distance`. The student's map goes through a 1x1 convolution first.
    * channel: of the means of each channel; the student's go through a linear layer.
    * spatial: of the means of each place; the student's go through a 3x3 convolution.
    * non-local: of what a :class:`NonLocal` block of each side makes of its map; the student's goes through a 1x1
      convolution. Both blocks are trained.

    It is given the student's bare map: what adapts it is in here, also where the channels are the same. All of it is
    trained with the student and left out afterwards. The default weights are the paper's for one-stage detectors, as
    recalled: they were not checked against the paper.

    Args:
        student_channels: of the student's map; filled in.
        teacher_channels: of the teacher's map; filled in.
        stride: pixels that a cell of the maps spans; filled in. The non-local blocks pool windows of 8x8 cells where it
            is at most 4, of 4x4 where it is at most 8, and of 2x2 beyond. They have a quarter of the channels where it
            is at most 8, and half of them beyond.
        temperature: T of the attention, > 0.
        mask_weight: alpha >= 0.
        channel_weight: beta of the channel term, >= 0.
        spatial_weight: beta of the spatial term, >= 0.
        non_local_weight: gamma >= 0.
        channel_mask: whether the attention to channels counts in the mask. It does in the paper. In mmrazor, whose
            results are published with its own code, it does not.
        pool_factor: enlarges the windows. 2 gives mmrazor's, whose blocks pool twice: 16, 8 and 4.
        loss_weight: of the whole, >= 0.

    Source: Zhang and Ma, ICLR 2021 (FKD).
    """

    compares: Compares = 'maps'

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        stride: float,
        temperature: float = 0.5,
        mask_weight: float = 4e-4,
        channel_weight: float = 2e-2,
        spatial_weight: float = 2e-2,
        non_local_weight: float = 4e-4,
        channel_mask: bool = True,
        pool_factor: int = 1,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.temperature = check_range('temperature', temperature, above=0)
        self.mask_weight = check_range('mask_weight', mask_weight, at_least=0)
        self.channel_weight = check_range('channel_weight', channel_weight, at_least=0)
        self.spatial_weight = check_range('spatial_weight', spatial_weight, at_least=0)
        self.non_local_weight = check_range('non_local_weight', non_local_weight, at_least=0)
        self.loss_weight = check_range('loss_weight', loss_weight, at_least=0)
        if pool_factor != int(check_range('pool_factor', pool_factor, at_least=1)):
            raise ValueError(f'pool_factor must be a whole number, not {pool_factor}')
        self.channel_mask = channel_mask
        reduction = 4 if stride <= 8 else 2
        pool = int(pool_factor) * (8 if stride <= 4 else 4 if stride <= 8 else 2)
        self.adapter = PointwiseConv(student_channels, teacher_channels)
        self.channel_adapter = nn.Linear(student_channels, teacher_channels)
        self.spatial_adapter = nn.Conv2d(1, 1, kernel_size=3, padding=1)
        self.student_relations = NonLocal(student_channels, reduction, pool)
        self.relations_adapter = PointwiseConv(student_channels, teacher_channels)
        self.teacher_relations = NonLocal(teacher_channels, reduction, pool)

    @in_full_precision
    def forward(self, feat_s: Tensor, feat_t: Tensor) -> Tensor:
        """Compare a bare student map with a teacher map of the same height and width; returns a scalar."""
        feat_t = feat_t.detach()
        adapted = self.adapter(feat_s)
        spatial, channel = shared_attention(feat_s, adapted, feat_t, self.temperature)
        of_channels = self.channel_adapter(feat_s.mean(dim=(2, 3)))
        of_places = self.spatial_adapter(feat_s.mean(dim=1, keepdim=True))
        relations = self.relations_adapter(self.student_relations(feat_s))
        loss = (
            self.mask_weight * masked_distance(adapted, feat_t, spatial, channel if self.channel_mask else None)
            + self.channel_weight * root_distance(of_channels, feat_t.mean(dim=(2, 3)))
            + self.spatial_weight * root_distance(of_places, feat_t.mean(dim=1, keepdim=True))
            + self.non_local_weight * root_distance(relations, self.teacher_relations(feat_t))
        )
        return self.loss_weight * loss

    @in_full_precision
    def places_taken(self, feat_t: Tensor) -> Tensor:
        """Over how many places the attention to a teacher map (N, C, H, W) spreads; (N,)."""
        places, _ = attention(feat_t, self.temperature)  # of mean 1
        return places_taken(places.flatten(1) / places[0].numel())


class NonLocal(nn.Module):
    r"""A map, and what each of its places gathers from all others.

    .. math:: F + \mathrm{BN}(W \frac{1}{M} \sum_{m} (\theta_{hw} \cdot \phi_m) g_m)

    theta, phi and g are 1x1 convolutions of the map; phi and g are then pooled to the M maxima of windows, of which the
    last of a row or column may be smaller. The batch norm begins at 0, so that at first the map comes out as it is. It
    normalises by the pictures of a step on one rank and keeps no averages, since nothing is predicted with it.

    Args:
        channels: of the map.
        reduction: theta, phi and g have ``channels // reduction`` channels, at least one.
        pool: height and width of a window, in cells.

    Source: Wang et al., CVPR 2018 (non-local networks), the dot product; as Zhang and Ma use it (FKD).
    """

    def __init__(self, channels: int, reduction: int, pool: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.pool = pool
        self.theta = PointwiseConv(channels, hidden)
        self.phi_and_g = PointwiseConv(channels, 2 * hidden)
        self.out = nn.Linear(hidden, channels, bias=False)
        self.norm = _BatchNorm(channels, track_running_stats=False)
        nn.init.zeros_(self.norm.weight)

    def forward(self, feat: Tensor) -> Tensor:
        """Of a map (N, C, H, W), the same shape."""
        pooled = F.max_pool2d(self.phi_and_g(feat), self.pool, ceil_mode=True).flatten(2)
        phi, g = pooled.chunk(2, dim=1)
        # (theta phi) g = theta (phi g): a matrix of channels instead of one of all pairs of places
        pairs = torch.bmm(g, phi.transpose(1, 2)) / pooled.shape[2]
        gathered = torch.matmul(self.out.weight, pairs) @ self.theta(feat).flatten(2)
        return feat + self.norm(gathered.unflatten(2, feat.shape[2:]))


class _BatchNorm(nn.BatchNorm2d):
    """torch's, which refuses to train on one value a channel: its deviation from the mean is 0."""

    def forward(self, feat: Tensor) -> Tensor:
        if feat.numel() > feat.shape[1]:
            return super().forward(feat)
        return (feat - feat) * self.weight[:, None, None] + self.bias[:, None, None]
