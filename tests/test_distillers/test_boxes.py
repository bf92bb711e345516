"""Regressions of two heads in one encoding, against boxes written out."""

import pytest
import torch
from helpers.boxes import decode, encode
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder, TBLRBBoxCoder

from mmdet_kd.distillers.boxes import encode_targets, recode, same_coder, select_class

FINE = DeltaXYWHBBoxCoder(target_means=(0.0, 0.1, -0.1, 0.0), target_stds=(0.1, 0.1, 0.2, 0.2))
COARSE = DeltaXYWHBBoxCoder()


def boxes(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(n, 2, generator=generator) * 40
    return torch.cat([corner, corner + 5 + torch.rand(n, 2, generator=generator) * 30], dim=1)


def deltas(n=6, seed=1):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)) * 0.5


def test_recode_is_decode_then_encode():
    expected = [
        encode(box, decode(box, delta, COARSE), FINE)
        for box, delta in zip(boxes().tolist(), deltas().tolist(), strict=True)
    ]
    torch.testing.assert_close(recode(deltas(), boxes(), FINE, COARSE), torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_recode_there_and_back():
    there = recode(deltas(), boxes(), FINE, COARSE)
    torch.testing.assert_close(recode(there, boxes(), COARSE, FINE), deltas(), rtol=1e-4, atol=1e-4)


def test_recode_between_kinds_of_coder():
    """Distances to the sides against shifts of the centre: the box is what both mean."""
    sides = TBLRBBoxCoder(normalizer=1 / 8, clip_border=False)
    recoded = recode(deltas(), boxes(), sides, COARSE)
    torch.testing.assert_close(sides.decode(boxes(), recoded), COARSE.decode(boxes(), deltas()), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    'other',
    [
        DeltaXYWHBBoxCoder(),
        DeltaXYWHBBoxCoder(target_means=[0.0] * 4, target_stds=[1.0] * 4),
        DeltaXYWHBBoxCoder(clip_border=False),
    ],
)
def test_equal_coders_leave_the_very_tensor(other):
    given = deltas()
    assert same_coder(COARSE, other)
    assert recode(given, boxes(), COARSE, other) is given


@pytest.mark.parametrize('other', [FINE, TBLRBBoxCoder(), DeltaXYWHBBoxCoder(target_stds=(1.0, 1.0, 1.0, 1.1))])
def test_other_coders_are_not_the_same(other):
    assert not same_coder(COARSE, other)


@pytest.mark.parametrize('coder', [COARSE, FINE])
def test_encode_targets(coder):
    positive = torch.tensor([True, False, True, False, True, False])
    truth = torch.where(positive[:, None], boxes(seed=2), torch.tensor([0.0, float('nan'), -5.0, float('inf')]))
    found = encode_targets(truth, boxes(), positive, coder)
    assert found.isfinite().all()
    for i in positive.nonzero()[:, 0]:
        expected = encode(boxes()[i].tolist(), truth[i].tolist(), coder)
        torch.testing.assert_close(found[i], torch.tensor(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('box', [[5.0, 5, 5, 20], [5.0, 5, 20, 5], [64.0, 64, 64, 64]])
def test_encode_targets_of_a_flat_negative_box_are_finite(box):
    """A cascade clips its boxes to the picture, and may leave one without width: nothing times 0 would be nothing."""
    flat = torch.tensor([box])
    assert encode_targets(torch.zeros(1, 4), flat, torch.tensor([False]), FINE).isfinite().all()


def test_select_class_by_loop():
    pred = torch.arange(5 * 3 * 4.0).view(5, 12)
    labels = torch.tensor([2, 0, 1, 3, 0])  # 3 is the background: any class
    found = select_class(pred, labels)
    for i, label in enumerate(labels.tolist()):
        if label < 3:
            assert found[i].tolist() == [pred[i, 4 * label + k].item() for k in range(4)]
    assert found.shape == (5, 4)


def test_select_class_hands_gradient_to_that_class_alone():
    pred = torch.zeros(2, 8, requires_grad=True)
    select_class(pred, torch.tensor([1, 0])).sum().backward()
    assert pred.grad.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0]]


def test_class_agnostic_regression_is_taken_as_it_is():
    pred = deltas()
    assert select_class(pred, torch.tensor([5, 0, 1, 2, 3, 4])) is pred


@pytest.mark.parametrize('width', [4, 8, 320])
def test_no_rows(width):
    pred = torch.zeros(0, width, requires_grad=True)
    empty = torch.zeros(0, 4)
    selected = select_class(pred, torch.zeros(0, dtype=torch.long))
    assert selected.shape == (0, 4)
    assert selected.requires_grad
    assert recode(empty, empty, FINE, COARSE).shape == (0, 4)
    assert encode_targets(empty, empty, torch.zeros(0, dtype=torch.bool), FINE).shape == (0, 4)
