"""Local response normalisation, safe in mixed precision."""

import torch
from torch import Tensor, nn


class LocalResponseNorm(nn.LocalResponseNorm):
    """torch's layer, which is also Caffe's LRN across channels, computed in single precision at least.

    It squares its input, and half precision ends at 256 squared.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W); the type stays."""
        return super().forward(x if x.dtype == torch.float64 else x.float()).to(x.dtype)
