"""What makes a frozen detector cheap: it is never trained, so it need not cost what a network in training costs.

Nothing here is trusted: ``verification.py`` compares each change with the plain detector, and undoes it where they
differ.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..knowledge import PartForm, box_heads, mask_heads

PRECISIONS = {'bfloat16': torch.bfloat16, 'float16': torch.float16}


class SpeedUp(NamedTuple):
    """One thing that is done to the parts of a detector.

    Args:
        name: for the log.
        change: changes a part in place, by its name in the detector; returns whether there was anything to change.
        form: the fields of :class:`~mmdet_kd.knowledge.PartForm` that the changed part needs.
    """

    name: str
    change: Callable[[str, nn.Module], bool]
    form: dict[str, Any]


def _lay_channels_last(name: str, part: nn.Module) -> bool:
    """Lay the weights of convolutions channels-last. Many of mmcv's operators read such maps and weights wrongly."""
    del name
    part.to(memory_format=torch.channels_last)
    return any(parameter.dim() == 4 for parameter in part.parameters())


CHANNELS_LAST = SpeedUp('channels-last', _lay_channels_last, {'layout': 'channels-last'})


@dataclass(frozen=True)
class Speed:
    """How a frozen detector is run; see :class:`~mmdet_kd.teachers.DetectorTeacher`."""

    fold_batch_norm: bool
    channels_last: bool
    precision: torch.dtype | None
    compile: bool

    @property
    def plain_form(self) -> PartForm:
        """In which form a part gets its maps that is left plain beside others that may not be."""
        return PartForm('contiguous', None if self.precision is None else torch.float32)

    def speed_ups(self) -> Iterator[SpeedUp]:
        """What is to be done, in this order; nothing for a detector that is to run as it would alone."""
        if self.fold_batch_norm:
            yield SpeedUp('batch norm folded', _fold_batch_norm, {})
        if self.channels_last:
            yield CHANNELS_LAST
        if self.precision is not None:
            lower = partial(_lower, dtype=self.precision)
            yield SpeedUp(str(self.precision).removeprefix('torch.'), lower, {'dtype': self.precision})
        if self.compile:
            yield SpeedUp('compiled', _compile, {})


def _fold_batch_norm(name: str, part: nn.Module) -> bool:
    """Fold batch norm into the convolutions before it.

    mmcv takes the order in which layers are registered for that in which they are called, which need not be so.
    """
    del name
    before = _count_batch_norms(part)
    fuse_conv_bn(part)
    part.requires_grad_(False)  # the folded convolutions have new parameters
    part.eval()  # and nn.Identity takes the place of the norms
    return _count_batch_norms(part) < before


def _count_batch_norms(part: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in part.modules())


def _lower(name: str, part: nn.Module, dtype: torch.dtype) -> bool:
    """Lower the precision of a part; of a RoI head that of its box and mask heads, which autocast goes along with."""
    for module in [*box_heads(part), *mask_heads(part)] if name == 'roi_head' else [part]:
        module.to(dtype)
    return True


def _compile(name: str, part: nn.Module) -> bool:
    """Have torch.compile compile a part when it is first called; not a RoI head, whose number of RoIs varies."""
    if name == 'roi_head':
        return False
    part.compile()
    return True
