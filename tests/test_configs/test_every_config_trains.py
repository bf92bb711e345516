"""Every distinct model of the configs builds and takes a training step; with small pictures and untrained weights."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from config_sweep import (
    build,
    build_shape,
    check_each,
    expected_parts,
    load,
    shrink,
    teacher_configs,
    train_step,
    whole_configs,
)
from mmcv.ops import DeformConv2dPack
from torch import Tensor

from mmdet_kd.teachers import load_teacher_config

QUICK = (
    'chen2017/chen2017_faster-rcnn-r18-fpn-from-r50-fpn_4e_voc0712.py',
    'dicod/dicod_faster-rcnn-qr50-fpn-from-classifier-r50_4e_voc0712.py',
    'fgd/fgd-inherit_retinanet-r50-fpn-from-x101-64x4d-fpn_2x_coco.py',
)
#: Of the sweep, so that the processes share it.
PARTS = 16


@pytest.mark.parametrize('path', map(Path, QUICK), ids=lambda path: path.stem)
def test_config_takes_a_training_step(path: Path) -> None:
    takes_a_training_step(path)


@pytest.mark.slow
@pytest.mark.parametrize('part', range(PARTS))
def test_every_distinct_config_takes_a_training_step(part: int) -> None:
    check_each(distinct_configs()[part::PARTS], takes_a_training_step)


@pytest.mark.slow
@pytest.mark.parametrize('part', range(PARTS))
def test_every_config_builds(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory for weights: also those that differ from another one in their number of classes alone."""
    monkeypatch.setattr(DeformConv2dPack, 'forward', _shape_alone)
    check_each(whole_configs()[part::PARTS], lambda path: build_shape(load(path)))


def _shape_alone(layer: DeformConv2dPack, maps: Tensor) -> Tensor:
    """A deformable convolution has no kernel for the meta device; 60 of them take 20 s on the CPU."""
    return F.conv2d(maps, layer.weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)


@functools.cache
def distinct_configs() -> list[Path]:
    """Configs among which each model and each optimizer of all of them occurs.

    What else they differ in, data, schedules and numbers of classes, a step on drawn pictures does not depend on.
    """
    found, seen = [], set()
    for path in whole_configs():
        new = {*what_trains(path)} - seen
        found += [path] if new else []
        seen |= new
    return found


def what_trains(path: Path) -> tuple[str, str]:
    """The model of a config, with those of its teachers in the place of their names; and its optimizer."""
    cfg = shrink(load(path))
    for teacher in teacher_configs(cfg):
        teacher.config = load_teacher_config(teacher.config).model
    return str(without_classes(cfg.model)), str(cfg.optim_wrapper)


def without_classes(cfg: Any) -> Any:
    if isinstance(cfg, dict):
        return {key: without_classes(value) for key, value in cfg.items() if key != 'num_classes'}
    return [without_classes(value) for value in cfg] if isinstance(cfg, (list, tuple)) else cfg


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
