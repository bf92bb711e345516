"""Making a frozen detector cheap: it is never trained, so it need not cost what a network in training costs."""

import copy
from dataclasses import dataclass

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..backbones import picture_channels
from ..knowledge import TeacherKnowledge, box_heads

_PROBE_SIZE = 128  # pixels; divisible by the strides of pyramids
_PARTS = ('backbone', 'neck', 'rpn_head', 'bbox_head')
_ROUNDING = 1e-4  # of the largest value of a map; folding leaves 1e-6 to 1e-5 in single precision
_CANNOT_RUN = (AttributeError, KeyError, RuntimeError, TypeError, ValueError)


PRECISIONS = {'bfloat16': torch.bfloat16, 'float16': torch.float16}


@dataclass(frozen=True)
class Speed:
    """How a frozen detector is run; see :class:`~mmdet_kd.teachers.DetectorTeacher`."""

    fold_batch_norm: bool
    channels_last: bool
    precision: torch.dtype | None
    compile: bool

    def apply_to(self, images: Tensor) -> Tensor:
        """A batch (N, 3, H, W) as the detector is to see it."""
        memory_format = torch.channels_last if self.channels_last else torch.preserve_format
        return images.to(dtype=self.precision or images.dtype, memory_format=memory_format)


def speed_up(detector: nn.Module, speed: Speed) -> nn.Module:
    """Change a frozen detector, in eval mode and with its weights, so that it runs as fast as ``speed`` allows."""
    if speed.fold_batch_norm:
        fold_batch_norm(detector)
    if speed.channels_last:
        detector = detector.to(memory_format=torch.channels_last)
    parts = [getattr(detector, name) for name in _PARTS if getattr(detector, name, None) is not None]
    boxes = box_heads(detector.roi_head) if getattr(detector, 'roi_head', None) is not None else []
    if speed.precision is not None:
        for part in (*parts, *boxes):
            part.to(speed.precision)
    if speed.compile:
        for part in parts:
            part.compile()
    return detector


def fold_batch_norm(detector: nn.Module) -> None:
    """Fold batch norm into the convolutions before it, part by part, where that changes nothing beyond rounding.

    mmcv takes the order in which layers are registered for that in which they are called. A part where this is not so,
    which is found out on a picture of noise, is left as it is; so is one that cannot be tried.

    Args:
        detector: frozen, in eval mode, with its weights; changed in place.
    """
    kept = [name for name in (*_PARTS, 'roi_head') if _has_batch_norm(detector, name) and not _fold(detector, name)]
    if kept:
        print_log(
            f"The batch norm of the teacher's {', '.join(kept)} is not folded into its convolutions: that would change "
            'what it says, or could not be tried.',
            logger='current',
        )


def _has_batch_norm(detector: nn.Module, part: str) -> bool:
    return any(isinstance(module, _BatchNorm) for module in getattr(detector, part, nn.Module()).modules())


def _fold(detector: nn.Module, name: str) -> bool:
    """Fold the batch norm of one part, unless its answers change; whether it was folded."""
    part, folded = getattr(detector, name), copy.deepcopy(getattr(detector, name))
    try:
        before = _answers(detector, name)
        fuse_conv_bn(folded)
        setattr(detector, name, folded)
        same = all(map(_close, before, _answers(detector, name)))
    except _CANNOT_RUN:
        same = False
    if not same:
        setattr(detector, name, part)
    folded.requires_grad_(False)
    folded.eval()  # some backbones of mmdet return nothing here
    return same


def _answers(detector: nn.Module, part: str) -> list[Tensor]:
    """What a part of a detector says of a picture of noise, as far as a distiller may ask for it."""
    device = next(detector.parameters()).device
    shape = (1, picture_channels(detector.backbone), _PROBE_SIZE, _PROBE_SIZE)
    picture = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    knowledge = TeacherKnowledge(detector, picture)
    if part in ('backbone', 'neck'):
        return list(knowledge.features(part))
    if part == 'rpn_head':
        return [tensor for tensors in knowledge.rpn for tensor in tensors]
    if part == 'bbox_head':
        return list(knowledge.dense)
    roi = picture.new_tensor([[0.0, 8.0, 8.0, 72.0, 104.0]])
    return [tensor for stage in range(len(box_heads(detector.roi_head))) for tensor in knowledge.roi(stage, roi)]


def _close(first: Tensor, second: Tensor) -> bool:
    return bool((first - second).abs().max() <= _ROUNDING * first.abs().max())
