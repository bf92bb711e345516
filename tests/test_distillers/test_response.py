"""Denominators of the distillers of predictions."""

import pytest
import torch
from helpers.distil import build, distilled_cfg, losses_of, raw_batch

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


def test_without_mu_the_soft_loss_is_added_to_the_whole_hard_one(student_cfg, teacher_cfg):
    """As DIST does. The shares of another distiller stay what they are."""
    losses = {}
    for name, mu in (('added', None), ('mixed', 0.25), ('alone', 1.0)):
        roi = dict(type='RoIDistiller', loss_cls=dict(type='DISTLoss'), mu=mu)
        detector = build(distilled_cfg(student_cfg, teacher_cfg, None, roi=roi))
        losses[name] = losses_of(detector, raw_batch())
    hard, soft = 'loss_cls', 'roi.loss_cls'
    assert losses['added'][hard].item() == losses['alone'][hard].item()
    assert losses['mixed'][hard].item() == pytest.approx(0.25 * losses['added'][hard].item(), rel=1e-6)
    assert losses['mixed'][soft].item() == pytest.approx(0.75 * losses['added'][soft].item(), rel=1e-6)
    assert losses['added'][soft].item() > 0
