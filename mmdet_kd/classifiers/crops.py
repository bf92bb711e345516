"""Cutting boxes out of pictures, with a gradient towards the boxes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def crop_boxes(images: Tensor, boxes: Sequence[Tensor], size: int, chunk: int = 256) -> Tensor:
    r"""Resample boxes to squares, bilinearly, without keeping their aspect ratio.

    For a box in a picture of w x h pixels, :math:`s_x = (x_2 - x_1) / w`, :math:`t_x = -1 + (x_1 + x_2) / w`, and so on
    for y, map the square to it.

    Args:
        images: (N, C, H, W), padding included: its size is the w x h of the formula.
        boxes: of each picture (k, 4), xyxy, pixels. They are clamped to the batch's pictures, and are at least a pixel
            wide and high. Receive gradient, where they want one.
        size: of the squares, pixels.
        chunk: so many squares at most are cut at a time.

    Returns:
        (K, C, size, size), those of the first picture first.

    Source: Guo, Alvarez and Salzmann, NeurIPS 2021 (DICOD), section 3.
    """
    counts = [len(each) for each in boxes]
    most = max(counts, default=0)
    if most == 0:
        return images.new_zeros(0, images.shape[1], size, size)
    padded = _inside(pad_sequence(list(boxes), batch_first=True).to(images.dtype), images.shape[-2:])
    step = max(1, chunk // len(images))
    crops = torch.cat([_cut(images, padded[:, start : start + step], size) for start in range(0, most, step)], dim=1)
    return torch.cat([of_picture[:count] for of_picture, count in zip(crops, counts, strict=True)])


def _inside(boxes: Tensor, canvas: Sequence[int]) -> Tensor:
    """Boxes (N, K, 4) of at least a pixel, within a canvas (height, width)."""
    height, width = canvas  # stay on the host: a tensor of them would be a copy to the device, which waits for it
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    upper_left = torch.stack([x1.clamp(0, width - 1), y1.clamp(0, height - 1)], dim=-1)
    lower_right = torch.stack([x2.clamp(max=width), y2.clamp(max=height)], dim=-1)
    return torch.cat([upper_left, torch.maximum(lower_right, upper_left + 1)], dim=-1)


def _cut(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Squares (N, K, C, size, size) of boxes (N, K, 4).

    All squares of a picture are rows of one tall grid over it, so that no picture is copied for a box. The grid is made
    without a matrix product, which autocast would round to half precision: by more than a pixel in bf16.
    """
    height, width = images.shape[-2:]
    x1, y1, x2, y2 = boxes[..., None].unbind(dim=-2)  # (N, K, 1) each
    centres = (2 * torch.arange(size, device=boxes.device, dtype=boxes.dtype) + 1) / size - 1  # of -1 to 1
    across = (centres * (x2 - x1) + x2 + x1) / width - 1  # (N, K, size)
    down = (centres * (y2 - y1) + y2 + y1) / height - 1
    grid = torch.stack(torch.broadcast_tensors(across[..., None, :], down[..., None]), dim=-1)
    crops = F.grid_sample(images, grid.flatten(1, 2), padding_mode='border', align_corners=False)
    return crops.unflatten(2, (-1, size)).transpose(1, 2)
