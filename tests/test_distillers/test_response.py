"""Denominators of the distillers of predictions."""

import pytest
import torch

from mmdet_kd.distillers.response import mean_over_ranks

CPU = torch.device('cpu')


@pytest.mark.parametrize(
    ('count', 'expected'), [(0, 1), (1, 1), (7, 7), (2.5, 2.5), (torch.tensor(0), 1), (torch.tensor(12), 12)]
)
def test_a_denominator_is_at_least_one_and_a_float(count, expected):
    found = mean_over_ranks(count, CPU)
    assert found.item() == expected
    assert found.dtype == torch.float32


def test_a_count_is_not_changed_in_place():
    count = torch.tensor(0.0)
    mean_over_ranks(count, CPU)
    assert count.item() == 0
