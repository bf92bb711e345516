"""What the distillers add to a step, to be run by itself, and who asked for what happens in it: law 7."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mmdet_kd.detectors import KnowledgeDistillationMixin
from mmdet_kd.distillers import Shares
from mmdet_kd.knowledge import observe_student
from mmdet_kd.teachers import Batch

from .distil import raw_batch

_TELLERS = ('__torch_dispatch__', '_showwarnmsg', 'showwarning')

#: What mmdet and mmengine themselves copy: means and stds of box coders, the order of channels and the sizes of
#: pictures in a preprocessor, the labels that there are in a loss of sigmoids, the least area of a union of two boxes.
OF_MMDET = {
    'data_preprocessor.py:forward',
    'utils.py:stack_batch',
    'delta_xywh_bbox_coder.py:delta2bbox',
    'delta_xywh_bbox_coder.py:bbox2delta',
    'cross_entropy_loss.py:_expand_onehot_labels',
    'bbox_overlaps.py:bbox_overlaps',
}
#: Where mmdet itself waits for the device besides: it looks which RoIs each level has.
WAITS_OF_MMDET = OF_MMDET | {'single_level_roi_extractor.py:forward'}


def line_outside_torch() -> str:
    """File and function of the innermost frame outside torch, and outside what tells of an operation of it."""
    frame = sys._getframe(1)
    while '/torch/' in frame.f_code.co_filename or frame.f_code.co_name in _TELLERS:
        frame = frame.f_back
    return f'{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}'


def soft_losses(
    detector: nn.Module, boxes: int = 3, pictures: dict[str, Any] | None = None
) -> Iterator[Callable[[], None]]:
    """What computes all that a step adds to the student's own, up to the gradients.

    The batch is one of noise with so many boxes, unless `pictures` are given.
    """
    data = detector.data_preprocessor(pictures or raw_batch((boxes, boxes - 1)), training=True)
    kinds = {kind for distiller in detector.distillers.values() for kind in distiller.kinds}
    loaded = None if detector._views is None else detector._views.take()
    batch = Batch.of(data['inputs'], data['data_samples'], loaded)

    def call() -> None:
        shares = Shares({name: distiller.claim for name, distiller in detector.distillers.items()})
        sum(detector._soft_losses(student, batch, shares).values()).backward()

    with observe_student(detector, kinds) as student:
        super(KnowledgeDistillationMixin, detector).loss(data['inputs'], data['data_samples'])
        yield call


@contextmanager
def waits_for_a_gpu() -> Iterator[list[str]]:
    """Inside, notes by the line that asked for it each wait for the device, a copy to it or from it among them."""
    lines: list[str] = []

    def showwarning(message: object, *_: object) -> None:
        if 'synchroniz' in str(message):
            lines.append(line_outside_torch())

    torch.cuda.synchronize()
    with warnings.catch_warnings():
        torch.cuda.set_sync_debug_mode('warn')  # which warns that it is a prototype
        warnings.simplefilter('always')
        warnings.showwarning = showwarning
        try:
            yield lines
        finally:
            torch.cuda.set_sync_debug_mode('default')


def copies_to_a_gpu(call: Callable[[], object]) -> int:
    """How many copies from the host to the device run while ``call`` does."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as prof:
        call()
        torch.cuda.synchronize()
    return sum('Memcpy HtoD' in event.name for event in prof.events())
