"""The configs of docs/tracking.md: TensorBoard's trains, the others name what mmengine has."""

import inspect
import json

import pytest
from helpers import tiny_student_cfg, tiny_teacher_cfg
from helpers.distil import distilled_cfg, save_teacher
from helpers.tiny import REPO, call_tool
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from test_documents import blocks


@pytest.fixture
def page(tmp_path):
    """Name of a backend -> its config of the page, on a base that has a visualizer as mmdet's runtime has."""
    (tmp_path / 'demo').mkdir()
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'demo' / 'shapes_distilled.py').write_text("_base_ = 'mmdet::_base_/default_runtime.py'")
    paths = {}
    for block in blocks(REPO / 'docs' / 'tracking.md', 'python'):
        path = tmp_path / 'mine' / f'config_{len(paths)}.py'
        path.write_text(block)
        paths[Config.fromfile(path).visualizer.vis_backends[1].type] = path
    return paths


def test_its_configs_name_what_mmengine_has(page):
    assert set(page) == {'TensorboardVisBackend', 'WandbVisBackend', 'MLflowVisBackend'}
    for path in page.values():
        visualizer = Config.fromfile(path).visualizer
        assert visualizer.type == 'DetLocalVisualizer'
        local, other = visualizer.vis_backends
        assert local.type == 'LocalVisBackend'  # tools/compare.py reads what it writes
        inspect.signature(VISBACKENDS.get(other.pop('type'))).bind(save_dir='', **other)


@pytest.mark.slow
def test_tensorboard_shows_what_the_run_logged(page, tiny_set, tmp_path, monkeypatch):
    events = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    teacher = tiny_teacher_cfg(tiny_set, tmp_path / 'teacher')
    teacher.dump(tmp_path / 'teacher.py')
    checkpoint = save_teacher(teacher, tmp_path / 'teacher.pth')
    student = tiny_student_cfg(tiny_set, tmp_path / 'unused')
    student.pop('work_dir')
    distilled_cfg(student, str(tmp_path / 'teacher.py'), checkpoint).dump(tmp_path / 'demo' / 'shapes_distilled.py')
    monkeypatch.chdir(tmp_path)
    call_tool('tools/train.py', page['TensorboardVisBackend'])

    (run,) = (tmp_path / 'work_dirs' / page['TensorboardVisBackend'].stem).glob('2*/vis_data')
    logged = [json.loads(line) for line in (run / 'scalars.json').read_text().splitlines()]
    shown = events.EventAccumulator(str(run)).Reload()
    for name in ('hint.loss_feat', 'loss_cls', 'lr', 'coco/bbox_mAP'):
        values = [entry[name] for entry in logged if name in entry]
        assert values
        assert [scalar.value for scalar in shown.Scalars(name)] == pytest.approx(values)
