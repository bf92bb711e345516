"""Every whole config builds and takes a training step; with pictures of 96 px and untrained weights."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from config_sweep import build, expected_parts, load, quick_first, shrink, train_step, whole_configs

QUICK = (
    'chen2017_faster-rcnn-r18-fpn-from-r50-fpn_4e_voc0712',
    'dicod_faster-rcnn-qr50-fpn-from-classifier-r50_4e_voc0712',
)

pytestmark = pytest.mark.filterwarnings('ignore:The teacher is untrained')


@pytest.mark.parametrize('path', quick_first(whole_configs(), *QUICK))
def test_config_takes_a_training_step(path: Path) -> None:
    cfg = shrink(load(path))
    model = build(cfg)
    distillers = {name: distiller for name, distiller in cfg.model.get('distillers', {}).items() if distiller}
    teachers = list(model.teachers.values()) if distillers else []
    before = [{k: v.clone() for k, v in teacher.state_dict().items()} for teacher in teachers]

    step = train_step(model, cfg)

    assert math.isfinite(step.total), step.losses
    assert not step.unreached
    assert any(name.startswith('backbone.') for name in step.moved)
    for name, distiller in distillers.items():
        parts = {loss for loss in step.losses if loss.startswith(f'{name}.')}
        assert parts
        expected = {f'{name}.loss_{part}' for part in expected_parts(distiller)}
        assert parts == expected or not expected
        assert all(step.losses[part].isfinite() for part in parts)
    if distillers:
        assert any(name.startswith('backbone.') for name in step.taught)
    for teacher, weights in zip(teachers, before, strict=True):
        after = teacher.state_dict()
        assert weights
        assert weights.keys() == after.keys()
        assert all(torch.equal(value, after[key]) for key, value in weights.items())
