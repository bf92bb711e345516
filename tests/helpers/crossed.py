"""What a teacher's head makes of a student's maps, computed by hand in double precision."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

#: Of a head its last layers: for the classes, the boxes and, where it has one, the quality.
LAST = {
    'RetinaHead': ('retina_cls', 'retina_reg'),
    'GFLHead': ('gfl_cls', 'gfl_reg'),
    'ATSSHead': ('atss_cls', 'atss_reg', 'atss_centerness'),
    'FCOSHead': ('conv_cls', 'conv_reg', 'conv_centerness'),
}


def before_activation(convs: Any, feat: Tensor, depth: int) -> Tensor:
    """A map after so many convolutions of a tower, before the last activation."""
    for conv in convs[:depth]:
        feat = conv.conv(feat.relu() if conv is not convs[0] else feat)
        feat = conv.norm(feat) if conv.with_norm else feat
    return feat


def aligned(feat: Tensor, own: Tensor) -> Tensor:
    """Channel by channel, with mean and deviation of the teacher's map."""
    channels = []
    for s, t in zip(feat.unbind(dim=1), own.unbind(dim=1), strict=True):
        channels.append((s - s.mean()) / (s.std() + 1e-6) * t.std() + t.mean())
    return torch.stack(channels, dim=1)


def crossed_by_hand(
    head_s: nn.Module, maps_s: list[Tensor], head_t: nn.Module, maps_t: list[Tensor], depth: int, align: bool
) -> tuple[list[list[Tensor]], nn.Module]:
    """Scores, boxes and quality of each level, and the copy of the student's head towards which they have a gradient.

    Args:
        head_s: of the student.
        maps_s: that it reads.
        head_t: of the teacher.
        maps_t: that it reads.
        depth: of the towers.
        align: whether the maps are aligned.
    """
    head_s, head_t = (copy.deepcopy(head).double() for head in (head_s, head_t))
    last = LAST[type(head_t).__name__]
    outputs: list[list[Tensor]] = [[] for _ in last]
    for level, (x_s, x_t) in enumerate(zip(maps_s, maps_t, strict=True)):
        of_cls = 0, *((2,) if getattr(head_t, 'centerness_on_reg', True) is False else ())
        for tower in ('cls_convs', 'reg_convs'):
            convs = getattr(head_t, tower)
            feat = before_activation(getattr(head_s, tower), x_s.detach().double(), depth)
            if align:
                feat = aligned(feat, before_activation(convs, x_t.detach().double(), depth))
            feat = feat.relu()
            for conv in convs[depth:]:
                feat = before_activation([conv], feat, 1).relu()
            for place, name in enumerate(last):
                if (place in of_cls) == (tower == 'cls_convs'):
                    outputs[place].append(getattr(head_t, name)(feat))
        if hasattr(head_t, 'scales'):
            outputs[1][level] = head_t.scales[level](outputs[1][level])
        if type(head_t).__name__ == 'FCOSHead':
            outputs[1][level] = outputs[1][level].exp()
    return outputs, head_s
