"""Derivatives without autograd, and values of maps between their cells, to compare others with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def finite_differences(function: Callable[[Tensor], float], at: Tensor, step: float = 1e-6) -> Tensor:
    """The gradient of a scalar function, element by element, by central differences in float64."""
    gradient = torch.zeros_like(at)
    for place in range(at.numel()):
        ends = []
        for sign in (1, -1):
            moved = at.detach().clone()
            moved.view(-1)[place] += sign * step
            ends.append(float(function(moved)))
        gradient.view(-1)[place] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def bilinear(feat: Tensor, x: float, y: float) -> Tensor:
    """Value (C,) of a map (C, H, W) at fractional cells, its border repeated."""
    x, y = min(max(x, 0), feat.shape[2] - 1), min(max(y, 0), feat.shape[1] - 1)
    x0, y0 = min(int(x), feat.shape[2] - 2), min(int(y), feat.shape[1] - 2)
    fx, fy = x - x0, y - y0
    top = feat[:, y0, x0] * (1 - fx) + feat[:, y0, x0 + 1] * fx
    bottom = feat[:, y0 + 1, x0] * (1 - fx) + feat[:, y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy
