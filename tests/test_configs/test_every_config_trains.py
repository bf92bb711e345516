"""Every distinct model of the configs builds and takes a training step; with small pictures and untrained weights."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from config_sweep import (
    build,
    check_each,
    config_files,
    expected_parts,
    load,
    one_of_each,
    read,
    shrink,
    teacher_configs,
    train_step,
    whole_configs,
)

from mmdet_kd.teachers.config import load_teacher_config

QUICK = (
    'chen2017/chen2017_faster-rcnn-r18-fpn-from-r50-fpn_4e_voc0712.py',
    'dicod/dicod_faster-rcnn-qr50-fpn-from-classifier-r50_4e_voc0712.py',
)
#: Of the sweep, so that the processes share it.
PARTS = 16

pytestmark = pytest.mark.filterwarnings('ignore:The teacher is untrained')


@pytest.mark.parametrize('path', map(Path, QUICK), ids=lambda path: path.stem)
def test_config_takes_a_training_step(path: Path) -> None:
    takes_a_training_step(path)


@pytest.mark.slow
@pytest.mark.parametrize('part', range(PARTS))
def test_every_distinct_config_takes_a_training_step(part: int) -> None:
    """Distinct in the student, the teachers, the distillers or the optimizer; data and schedule do not count here."""
    distinct = one_of_each(whole_configs(), what_trains)
    assert set(map(Path, QUICK)) <= set(config_files())
    check_each(distinct[part::PARTS], takes_a_training_step)


def what_trains(path: Path) -> str:
    """All that a training step depends on: the whole model, that of each teacher, and the optimizer."""
    cfg = shrink(load(path))
    for teacher in teacher_configs(cfg):
        teacher.config = plain_model_of(teacher.config)
    return f'{cfg.model.to_dict()} {cfg.optim_wrapper.to_dict()}'


def plain_model_of(teacher: str) -> dict:
    return load_teacher_config(read(Path(teacher).relative_to('configs'))).model if teacher.startswith('configs/') else teacher


def takes_a_training_step(path: Path) -> None:
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
