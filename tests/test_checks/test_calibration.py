"""The weights that --calibrate suggests: with them, a distiller pulls as hard as was asked."""

import copy

import pytest
import torch
from helpers.distil import HINT, ROI, build, distilled_cfg, raw_batch
from helpers.tiny import REPO
from mmengine.config import Config

from mmdet_kd.checks import suggest_weights
from mmdet_kd.checks.gradients import take_steps

GID = Config.fromfile(REPO / 'configs/_base_/distillers/gid-two-stage.py').distillers.gid.to_dict()
BATCHES = [raw_batch(seed=seed) for seed in (0, 1)]


def taken(cfg):
    detector = build(cfg)
    torch.manual_seed(0)
    return detector, take_steps(detector, copy.deepcopy(BATCHES), len(BATCHES), tell=pytest.fail)


@pytest.mark.slow
def test_the_weights_do_what_they_are_for(student_cfg, teacher_cfg, teacher_checkpoint):
    cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint, hint=HINT, roi=ROI, gid=GID)
    lines = suggest_weights(*taken(cfg), times_own=0.25)
    options = dict(option.split('=') for line in lines for option in line.split(' '))
    assert list(options) == [
        'model.distillers.hint.loss.loss_weight',
        'model.distillers.roi.loss_cls.loss_weight',
        'model.distillers.roi.loss_bbox.loss_weight',
        *(f'model.distillers.gid.{part}_weight' for part in ('feat', 'rel', 'cls', 'bbox')),
    ]
    cfg.merge_from_dict({key: float(value) for key, value in options.items()})
    _, steps = taken(cfg)
    for name in ('hint', 'roi', 'gid'):
        assert steps.gradient_times_own(name) == pytest.approx(0.25, rel=0.01)


def test_a_distiller_without_gradient_gets_no_weight(student_cfg, teacher_cfg, teacher_checkpoint):
    cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint, hint=dict(HINT, weight=0.0))
    assert suggest_weights(*taken(cfg)) == [
        '# distillers.hint: its gradient was 0 times the own one, which no weight changes'
    ]
