"""Local response normalisation, against its formula."""

import pytest
import torch

from mmdet_kd.backbones import LocalResponseNorm


def test_formula():
    """b_c = a_c / (k + alpha / n * sum over the n channels around c of a^2) ^ beta, as Caffe writes it."""
    layer = LocalResponseNorm(size=5, alpha=0.3, beta=0.75, k=2.0)
    a = torch.randn(1, 8, 2, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    b = layer(a)
    assert b.dtype == torch.float64
    for c in range(8):
        for y in range(2):
            around = sum(a[0, i, y, 0].item() ** 2 for i in range(max(c - 2, 0), min(c + 3, 8)))
            assert b[0, c, y, 0].item() == pytest.approx(a[0, c, y, 0].item() / (2.0 + 0.3 / 5 * around) ** 0.75)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_large_activations_in_half_precision(dtype):
    """What the first layer makes of pictures between 0 and 255 is too large to be squared."""
    layer = LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=1.0)
    x = torch.full((1, 6, 2, 2), 3000.0)
    assert layer(x.to(dtype)).dtype == dtype
    torch.testing.assert_close(layer(x.to(dtype)).float(), layer(x), rtol=0.01, atol=0)
    assert layer(x.to(dtype)).min() > 10
