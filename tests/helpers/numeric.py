"""Derivatives without autograd, to compare autograd's with."""

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
