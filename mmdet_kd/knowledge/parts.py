"""The parts of a frozen detector, and how each is run."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..heads import EncoderView, RoIOutputs, RoIView, find_view
from .layout import to_plain_layout

_HALF = (torch.bfloat16, torch.float16)


class PartForm(NamedTuple):
    """In which form a part gets its maps. By default they stay as the part before it made them.

    Args:
        layout: 'contiguous', 'channels-last', or None: as they come. A name, because torch cannot save its own.
        dtype: precision of the part, and of the maps that it gets. The part is then run in it whatever the precision of
            the training is. None: maps as they come, and under autocast its precision.
    """

    layout: Literal['contiguous', 'channels-last'] | None = None
    dtype: torch.dtype | None = None

    def apply_to(self, feat: Tensor) -> Tensor:
        """A map (N, C, H, W) in this form; itself where it is so already."""
        feat = feat.to(self.dtype or feat.dtype)
        if self.layout == 'contiguous':
            return to_plain_layout(feat)
        return feat.to(memory_format=torch.channels_last) if self.layout == 'channels-last' else feat


AS_IT_COMES = PartForm()


@torch.no_grad()
def run_part(part: Callable, maps: Tensor | tuple[Tensor, ...], form: PartForm = AS_IT_COMES) -> Any:
    """Run a backbone, a neck, an RPN head or a dense head.

    Args:
        part: of a detector in eval mode, or its ``forward``, which is never compiled.
        maps: the picture (N, C, H, W) for a backbone; the maps of the levels for the others.
        form: in which the part gets them.

    Returns:
        What its ``forward`` returns, without a graph.
    """
    return run_with_graph(part, maps, form)


def run_with_graph(part: Callable, maps: Tensor | tuple[Tensor, ...], form: PartForm = AS_IT_COMES) -> Any:
    """The same, with a graph towards the maps. Nothing of a frozen part is trained."""
    formed = form.apply_to(maps) if isinstance(maps, Tensor) else tuple(map(form.apply_to, maps))
    device = maps.device if isinstance(maps, Tensor) else maps[0].device
    with nullcontext() if form.dtype is None else torch.autocast(device.type, enabled=False):
        return part(formed)


@torch.no_grad()
def run_encoder(
    detector: nn.Module,
    maps: tuple[Tensor, ...],
    canvas: tuple[int, int],
    img_shapes: Sequence[tuple[int, int]],
    form: PartForm = AS_IT_COMES,
) -> tuple[Tensor, ...]:
    """Run the encoder of a DETR.

    Args:
        detector: in eval mode.
        maps: of the neck, or of the backbone where there is no neck.
        canvas: height and width of the padded batch, pixels.
        img_shapes: of each picture without its padding.
        form: in which the encoder gets the maps; it flattens them, so they have to be contiguous.
    """
    formed = tuple(form.apply_to(to_plain_layout(feat)) for feat in maps)
    with nullcontext() if form.dtype is None else torch.autocast(maps[0].device.type, enabled=False):
        return find_view(detector, EncoderView).encode(formed, canvas, img_shapes)


def maps_for_rois(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The shared maps as the operators that cut out RoIs need them.

    mmcv's RoIAlign takes a channels-last map for another one on the CPU, and knows no bfloat16 there.
    """
    return tuple(to_plain_layout(feat).float() for feat in maps)


@torch.no_grad()
def run_roi_head(
    roi_head: nn.Module, stage: int, maps: tuple[Tensor, ...], rois: Tensor, form: PartForm = AS_IT_COMES
) -> RoIOutputs:
    """Run one stage of a RoI head.

    Args:
        roi_head: of a detector in eval mode.
        stage: index of the stage; 0 without a cascade.
        maps: what :func:`maps_for_rois` made of the maps that the RoI head reads.
        rois: (n, 5): index of the picture, box.
        form: a half precision in it is that of the box heads; RoIs are cut out in single precision.
    """
    with _precision_of(form, rois.device):
        return find_view(roi_head, RoIView).of_rois(stage, maps, rois)


@torch.no_grad()
def run_mask_head(
    roi_head: nn.Module, stage: int, maps: tuple[Tensor, ...], rois: Tensor, form: PartForm = AS_IT_COMES
) -> Tensor:
    """Run the mask branch of one stage of a RoI head: (n, C, h, w), or (n, 1, h, w) where one mask serves any class.

    Arguments are those of :func:`run_roi_head`; a half precision is that of the mask heads.
    """
    with _precision_of(form, rois.device):
        return find_view(roi_head, RoIView).masks_of_rois(stage, maps, rois)


def _precision_of(form: PartForm, device: torch.device) -> AbstractContextManager:
    """In which the layers of a RoI head compute."""
    if form.dtype is None:
        return nullcontext()
    autocast = dict(dtype=form.dtype) if form.dtype in _HALF else dict(enabled=False)
    return torch.autocast(device.type, **autocast)
