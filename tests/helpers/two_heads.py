"""Two heads that say different things of each place, and pictures on whose canvases they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .distil import raw_batch

#: The layers of which a head's outputs come, by name.
LAST_LAYERS = ('retina_cls', 'retina_reg', 'conv_cls', 'conv_reg', 'gfl_cls', 'gfl_reg', 'atss_cls', 'atss_reg')
LAST_LAYERS += ('rpn_cls', 'rpn_reg', *(f'{kind}_convs.{level}.0' for kind in ('cls', 'reg') for level in range(5)))


def spread(head: nn.Module, seed: int) -> None:
    """Have a head say something else of each place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if name.rpartition('.')[0] in LAST_LAYERS:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        if hasattr(head, 'conv_centerness'):
            head.conv_reg.bias += 2  # FCOS regresses logarithms of pixels


def fix_norms(detector: nn.Module) -> None:
    """Have the student's norms give the same in training as in eval mode."""
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def two_pictures(counts: tuple[int, ...] = (3, 2)) -> dict:
    """Of 64x96 and 64x60 pixels, so that a canvas in 64s is 64x128, and one in 32s 64x96."""
    batch = raw_batch(counts, size=60)
    for n, width in enumerate((96, 60)):
        shape = (3, 64, width)
        batch['inputs'][n] = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(n))
        batch['data_samples'][n].set_metainfo(dict(img_shape=shape[1:], ori_shape=shape[1:]))
    return batch


def on_the_students_grid(maps: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor]:
    """Maps of the teacher's, filled up with nan where only the student has cells."""
    filled = []
    for feat, of_student in zip(maps, like, strict=True):
        wide = feat.new_full((*feat.shape[:2], *of_student.shape[-2:]), math.nan)
        wide[..., : feat.shape[-2], : feat.shape[-1]] = feat
        filled.append(wide)
    return filled
