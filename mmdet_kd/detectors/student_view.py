"""The student's smaller look at pictures that its teacher sees whole."""

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor


def shrink(data: dict[str, Any], scale: float) -> tuple[dict[str, Any], Tensor]:
    """Shrink a batch as it comes from the data loader; the given one is not changed.

    Sizes are rounded as mmdet's ``Resize`` rounds them, and pixels interpolated as it does, so that the student is
    tested on such pictures as it was trained on. Whatever crop or flip made the pictures, both sides see it.

    Args:
        data: ``inputs``, raw pictures (3, H, W) each, and their ``data_samples``.
        scale: size of the new pictures relative to the given ones, in (0, 1).

    Returns:
        The batch with smaller pictures, boxes and masks; and how many old pixels a new one spans in x and y, (N, 2), on
        the device of the pictures. It is close to ``1 / scale``; sizes are whole, so it differs among pictures.

    Raises:
        NotImplementedError: a sample has a semantic segmentation, which is not shrunk.
    """
    pictures = list(data['inputs'])
    smaller = [_resize(picture, _size(picture, scale)) for picture in pictures]
    ratios = [
        (before.shape[-1] / after.shape[-1], before.shape[-2] / after.shape[-2])
        for before, after in zip(pictures, smaller, strict=True)
    ]
    samples = [
        _rescale(sample, ratio, tuple(picture.shape[-2:]))
        for sample, ratio, picture in zip(data['data_samples'], ratios, smaller, strict=True)
    ]
    return {**data, 'inputs': smaller, 'data_samples': samples}, _filled(ratios, smaller[0].device)


def _filled(rows: list[tuple[float, float]], device: torch.device) -> Tensor:
    """Numbers of the host as a tensor (N, 2), filled on the device: a copy would wait for it."""
    return torch.stack([torch.full((), number, device=device) for row in rows for number in row]).view(-1, 2)


def _size(picture: Tensor, scale: float) -> tuple[int, int]:
    height, width = (max(1, int(extent * scale + 0.5)) for extent in picture.shape[-2:])
    return height, width


def _resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    resized = F.interpolate(picture[None].float(), size=size, mode='bilinear', align_corners=False)[0]
    if picture.dtype == torch.uint8:
        return resized.round().to(torch.uint8)  # between the pixels of the old picture, so in their range
    return resized.to(picture.dtype)


def _rescale(sample: DetDataSample, ratio: tuple[float, float], size: tuple[int, int]) -> DetDataSample:
    """A sample whose boxes and masks are those of the shrunken picture of ``size`` = (height, width)."""
    if 'gt_sem_seg' in sample:
        raise NotImplementedError(
            'student_scale shrinks boxes and masks, not a semantic segmentation: load none (with_seg=False)'
        )
    factors = tuple(1 / r for r in ratio)
    sample = sample.clone()
    for name in ('gt_instances', 'ignored_instances', 'proposals'):
        if name in sample:
            setattr(sample, name, _rescale_instances(sample.get(name), factors, size))
    meta = {'img_shape': size}
    if 'scale_factor' in sample:
        meta['scale_factor'] = tuple(old * factor for old, factor in zip(sample.scale_factor, factors, strict=True))
    sample.set_metainfo(meta)
    return sample


def _rescale_instances(instances: InstanceData, factors: tuple[float, float], size: tuple[int, int]) -> InstanceData:
    instances = instances.clone()
    x1, y1, x2, y2 = get_box_tensor(instances.bboxes).unbind(dim=-1)
    in_x, in_y = factors
    instances.bboxes = torch.stack([x1 * in_x, y1 * in_y, x2 * in_x, y2 * in_y], dim=-1)
    if 'masks' in instances:
        instances.masks = instances.masks.resize(size)
    return instances
