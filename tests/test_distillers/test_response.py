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


def test_it_is_the_mean_of_the_ranks_counts(monkeypatch):
    """What mmdet takes of a tensor over the ranks is taken of the count; here as if another rank had counted 3 more.

    With two real ranks: tests/test_detectors/test_distributed.py.
    """
    monkeypatch.setattr('mmdet_kd.distillers.response.reduce_mean', lambda count: count + 1.5)
    assert mean_over_ranks(4, CPU).item() == 5.5
    assert mean_over_ranks(torch.tensor(-9), CPU).item() == 1  # at least 1 after the mean, so that ranks agree
