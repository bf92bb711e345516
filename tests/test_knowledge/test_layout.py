"""Maps change their place in memory, and nothing else."""

import pytest
import torch

from mmdet_kd.knowledge.layout import to_plain_layout


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('shape', [(2, 96, 80, 64), (1, 3, 5, 7), (3, 1, 4, 4), (2, 5, 1, 1), (0, 4, 3, 3)], ids=str)
def test_the_values_stay(shape, dtype):
    feat = torch.randn(shape).to(dtype)
    plain = to_plain_layout(feat.to(memory_format=torch.channels_last))
    assert plain.is_contiguous()
    assert plain.dtype == dtype
    assert plain.equal(feat)


def test_a_contiguous_map_is_not_copied():
    feat = torch.randn(2, 3, 4, 5)
    assert to_plain_layout(feat).data_ptr() == feat.data_ptr()


def test_any_other_layout_is_read_right():
    feat = torch.randn(2, 8, 6, 4)
    assert to_plain_layout(feat.transpose(2, 3)).equal(feat.transpose(2, 3))
