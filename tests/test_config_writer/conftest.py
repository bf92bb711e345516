"""Your own set in two layouts, and the configs that are written for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config
from test_datasets.own_layouts import coco, voc

from mmdet_kd.config_writer import Request, plan_configs, write_once

#: An address, which is not looked at before the teacher is loaded.
CHECKPOINT = 'https://example.org/teacher.pth'


@pytest.fixture
def write(tmp_path) -> Callable[..., tuple[Config, Config, list[str]]]:
    """Writes the configs of a distillation; returns the student's, the distillation's, and what was said."""

    def write(
        student: str, methods: list[str], data: Path | None = None, teacher: str | None = None, **options
    ) -> tuple[Config, Config, list[str]]:
        folder = tmp_path / 'out'
        request = Request(student, teacher or student, CHECKPOINT, data and str(data), methods, **options)
        plan = plan_configs(request, folder)
        write_once(folder, request._asdict(), plan.texts)
        return Config.fromfile(folder / 'student.py'), Config.fromfile(folder / 'distilled.py'), plan.notes

    return write


@pytest.fixture
def voc_set(tmp_path) -> Path:
    """A set in VOC's folders."""
    voc(tmp_path / 'voc_set')
    return tmp_path / 'voc_set'


@pytest.fixture
def coco_set(tmp_path) -> Path:
    """A set in COCO's folders."""
    coco(tmp_path / 'coco_set')
    return tmp_path / 'coco_set'
