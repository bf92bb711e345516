"""From a loss per row to a scalar, against plain loops."""

import pytest
import torch

from mmdet_kd.losses.functional import weighted_average

LOSS = [3.0, 1.0, 4.0, 1.5]
WEIGHT = [1.0, 0.0, 0.5, 2.0]


@pytest.mark.parametrize('weight', [None, WEIGHT])
@pytest.mark.parametrize('avg_factor', [None, 7, 2.5, torch.tensor(2.5, dtype=torch.float64)])
def test_sum_over_the_factor(weight, avg_factor):
    total, count = 0.0, 0
    for i, value in enumerate(LOSS):
        total += value * (1.0 if weight is None else weight[i])
        count += 1  # rows of weight 0 count too, as in mmdet
    expected = total / (count if avg_factor is None else float(avg_factor))
    rows = torch.tensor(LOSS, dtype=torch.float64)
    weights = None if weight is None else torch.tensor(weight, dtype=torch.float64)
    assert weighted_average(rows, weights, avg_factor).item() == pytest.approx(expected, rel=1e-12)


def test_agrees_with_mmdet():
    from mmdet.models.losses.utils import weight_reduce_loss

    rows, weights = torch.tensor(LOSS), torch.tensor(WEIGHT)
    torch.testing.assert_close(weighted_average(rows, weights), weight_reduce_loss(rows, weights))
    torch.testing.assert_close(weighted_average(rows, weights, 3.0), weight_reduce_loss(rows, weights, avg_factor=3.0))


@pytest.mark.parametrize('avg_factor', [None, 1.0, torch.tensor(1.0)])
def test_no_rows_give_an_attached_zero(avg_factor):
    rows = torch.zeros(0, requires_grad=True)
    average = weighted_average(rows, torch.zeros(0), avg_factor)
    average.backward()
    assert average.item() == 0
    assert average.shape == ()
    assert rows.grad.shape == (0,)


def test_rows_of_no_weight_get_no_gradient():
    rows = torch.tensor(LOSS, requires_grad=True)
    weighted_average(rows, torch.tensor(WEIGHT), 2.0).backward()
    assert rows.grad.tolist() == [0.5, 0.0, 0.25, 1.0]
