"""Box arithmetic written out, to compare the coders with."""

from __future__ import annotations

import math
from collections.abc import Sequence


def encode(box: Sequence[float], onto: Sequence[float], coder: object) -> list[float]:
    """The deltas that turn `box` into `onto`; both xyxy."""
    (cx, cy, w, h), (gx, gy, gw, gh) = _centre(box), _centre(onto)
    deltas = [(gx - cx) / w, (gy - cy) / h, math.log(gw / w), math.log(gh / h)]
    return [(d - m) / s for d, m, s in zip(deltas, coder.means, coder.stds, strict=True)]


def decode(box: Sequence[float], deltas: Sequence[float], coder: object) -> list[float]:
    """The box that `deltas` make of `box`; both xyxy."""
    cx, cy, w, h = _centre(box)
    dx, dy, dw, dh = (d * s + m for d, m, s in zip(deltas, coder.means, coder.stds, strict=True))
    most = abs(math.log(16 / 1000))  # as mmdet clips
    gw, gh = (size * math.exp(min(max(d, -most), most)) for size, d in ((w, dw), (h, dh)))
    gx, gy = cx + w * dx, cy + h * dy
    return [gx - gw / 2, gy - gh / 2, gx + gw / 2, gy + gh / 2]


def _centre(box: Sequence[float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
