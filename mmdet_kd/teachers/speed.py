"""Making a frozen detector cheap: it is never trained, so it need not cost what a network in training costs."""

import copy
from dataclasses import dataclass

import torch
from mmcv.cnn import fuse_conv_bn
from mmengine.logging import print_log
from torch import Tensor, nn

from ..knowledge import box_heads, forward_box_head

_PROBE_SIZES = (128, 512)  # pixels; the first that is enough. SSD512 computes nothing of less than 512
_PARTS = ('backbone', 'neck', 'rpn_head', 'bbox_head')
_ROUNDING = 1e-3  # of the largest value of a map; folding leaves 1e-6 to 1e-5 in single precision


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
        detector = fold_batch_norm(detector)
    if speed.channels_last:
        detector = detector.to(memory_format=torch.channels_last)
    parts = [getattr(detector, name) for name in _PARTS if getattr(detector, name, None) is not None]
    for part in parts:
        if speed.precision is not None:
            part.to(speed.precision)
        if speed.compile:
            part.compile()
    return detector


def fold_batch_norm(detector: nn.Module) -> nn.Module:
    """Fold batch norm into the convolutions before it, where that changes nothing beyond rounding.

    mmcv takes the order in which layers are registered for that in which they are called. Where this is not so, it
    fails or the result differs on a picture of noise, and the detector is left as it is.

    Args:
        detector: frozen, in eval mode, with its weights; it is not changed.

    Returns:
        The folded detector, or the given one.
    """
    try:
        folded = fuse_conv_bn(copy.deepcopy(detector)).eval().requires_grad_(False)
    except RuntimeError:
        folded = None
    if folded is not None and _say_the_same(detector, folded):
        return folded
    print_log(
        "The teacher's batch norm is not folded into its convolutions: that would change what it says.",
        logger='current',
    )
    return detector


def _say_the_same(first: nn.Module, second: nn.Module) -> bool:
    """Whether two detectors make the same of a picture of noise, but for rounding."""
    for size in _PROBE_SIZES:
        try:
            pairs = zip(_outputs(first, size), _outputs(second, size), strict=True)
        except RuntimeError:
            continue
        return all(_close(a, b) for a, b in pairs)
    return False


def _outputs(detector: nn.Module, size: int) -> list[Tensor]:
    """What a detector makes of a picture of noise, as far as a distiller may ask for it."""
    device = next(detector.parameters()).device
    generator = torch.Generator().manual_seed(0)
    picture = torch.randn(1, 3, size, size, generator=generator).to(device)
    with torch.no_grad():
        maps = detector.backbone(picture)
        outputs = list(maps)
        if detector.with_neck:
            maps = detector.neck(maps)
            outputs += maps
        for dense in ('rpn_head', 'bbox_head'):
            if getattr(detector, dense, None) is not None:
                outputs += [tensor for tensors in getattr(detector, dense)(maps) for tensor in tensors]
        if getattr(detector, 'roi_head', None) is not None:
            rois = picture.new_tensor([[0.0, 8.0, 8.0, 72.0, 104.0]])
            for stage in range(len(box_heads(detector.roi_head))):
                outputs += forward_box_head(detector.roi_head, stage, maps, rois)
    return outputs


def _close(first: Tensor, second: Tensor) -> bool:
    return bool((first - second).abs().max() <= _ROUNDING * first.abs().max())
