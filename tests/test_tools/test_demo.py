"""The demo from end to end, on a few pictures and for a step or two, in real processes."""

import json
import os

import pytest
from helpers.tiny import REPO, load_tool
from mmengine.config import Config

from mmdet_kd.datasets import ShapesSpec

CONFIGS = REPO / 'configs' / 'demo'


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The tool, its configs cut down to one epoch of two steps."""
    monkeypatch.chdir(REPO)  # where the demo goes, and from where this test comes back
    monkeypatch.setattr('sys.argv', ['demo.py'])
    demo = load_tool('tools/demo.py')
    demo.OUT, demo.SPEC = tmp_path / 'out', ShapesSpec(num_train=16, num_val=24)
    for title, (config, colour) in demo.TRAININGS.items():
        cfg = Config.fromfile(REPO / config)
        text = cfg.dump().replace(cfg.data_root, f'{tmp_path}/set/')
        text = text.replace('work_dirs/demo/shapes_teacher/epoch_5.pth', f'{tmp_path}/out/shapes_teacher/epoch_1.pth')
        text = text.replace(f'{CONFIGS}/shapes_teacher.py', f'{tmp_path}/shapes_teacher.py')
        cfg = Config.fromstring(text, '.py')
        cfg.merge_from_dict({'train_cfg.max_epochs': 1, 'train_dataloader.batch_size': 8})
        cfg.dump(tmp_path / config.name)
        demo.TRAININGS[title] = (tmp_path / config.name, colour)
    return demo


@pytest.mark.slow
def test_it_leaves_a_table_pictures_and_a_tested_student(demo, capsys):
    demo.main()
    said = capsys.readouterr().out
    assert said.count('trained for 1 epochs, ') == 3
    rows = json.loads((demo.OUT / 'table.json').read_text())
    assert [row['model'] for row in rows] == ['teacher', 'student alone', 'student distilled']
    assert rows[1]['parameters'] == rows[2]['parameters'] < rows[0]['parameters']
    for row, work_dir in zip(rows[:2], ('shapes_teacher', 'shapes_student'), strict=True):
        (file,) = (demo.OUT / work_dir).glob('*/vis_data/scalars.json')
        last = json.loads(file.read_text().splitlines()[-1])
        assert row['AP50'] == pytest.approx(100 * last['coco/bbox_mAP_50'], abs=0.01)
    left = sorted(os.listdir(demo.OUT))
    assert {'report.html', 'report.md', 'table.md', 'curves.png', 'detections.png'} <= set(left)
    assert (demo.OUT / 'student' / 'student.pth').is_file()
    trained = {path: path.stat().st_mtime_ns for path in demo.OUT.glob('*/epoch_1.pth')}
    assert len(trained) == 3

    demo.main()  # which finds all of it done
    assert {path: path.stat().st_mtime_ns for path in demo.OUT.glob('*/epoch_1.pth')} == trained
