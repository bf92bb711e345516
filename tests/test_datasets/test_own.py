"""The same few pictures in each layout that people have: one truth comes out, and it trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import tiny_student_cfg
from helpers.tiny import REPO, call_tool
from mmengine.config import Config
from test_datasets.layouts import DATA_KEYS, HEIGHT, WIDTH, judge_the_truth, write_xml
from test_datasets.own_layouts import (
    CLASSES,
    LAYOUTS,
    NAMES,
    TRUTH,
    VAL,
    coco,
    draw,
    labelimg,
    one_coco_file,
    roboflow,
    voc,
    voc_without_lists,
    yolo,
)

from mmdet_kd.datasets.own import convert_own
from mmdet_kd.errors import DistillationError

by_layout = pytest.mark.parametrize('draw_layout', LAYOUTS, ids=lambda draw: draw.__name__)


def truth_of(root: Path, files: dict[str, Path], splits: tuple[str, ...]) -> dict[str, list]:
    found = {}
    for split in splits:
        content = json.loads(files[split].read_text())
        names = {category['id']: category['name'] for category in content['categories']}
        for image in content['images']:
            assert (root / image['file_name']).is_file()
            boxes = [a for a in content['annotations'] if a['image_id'] == image['id']]
            found[Path(image['file_name']).stem] = [
                (names[a['category_id']], (x, y, x + w, y + h)) for a in boxes for x, y, w, h in [a['bbox']]
            ]
    return found


@by_layout
def test_one_truth_comes_out_of_each_layout(tmp_path, draw_layout):
    draw_layout(tmp_path)
    own = convert_own(tmp_path)
    assert own.classes == CLASSES
    found = truth_of(tmp_path, own.files, ('train', 'val'))
    assert found.keys() == TRUTH.keys()
    for name, objects in TRUTH.items():
        assert [kind for kind, _ in found[name]] == [kind for kind, _ in objects]
        for (_, box), (_, corners) in zip(found[name], objects, strict=True):
            assert box == pytest.approx(corners, abs=1e-3)  # YOLO's files have six digits
    drawn = 'there was no split' in own.said
    assert drawn == (draw_layout in (voc_without_lists, labelimg, one_coco_file))
    names = [image['file_name'] for image in json.loads(own.files['val'].read_text())['images']]
    assert len(names) == 2 if drawn else sorted(Path(name).stem for name in names) == VAL
    assert '8 pictures, 200x100 to 200x100, 3 without a box' in own.said
    assert 'boxes by class: 5 cat, 2 dog' in own.said
    assert "'animals' groups the others" in own.said or draw_layout is not roboflow


def test_a_drawn_split_depends_on_the_seed_alone(tmp_path):
    labelimg(tmp_path)
    draws = [convert_own(tmp_path, tmp_path / str(i), seed=seed).files for i, seed in enumerate((0, 0, 1))]
    texts = [files['val'].read_text() for files in draws]
    assert texts[0] == texts[1] != texts[2]


def test_boxes_without_width_or_height_are_left_out_and_counted(tmp_path):
    voc(tmp_path)
    write_xml(tmp_path / 'Annotations' / 'p0.xml', [('cat', (10, 10, 10, 30))])
    own = convert_own(tmp_path)
    assert '1 boxes without width or height were left out' in own.said
    assert truth_of(tmp_path, own.files, ('train',))['p0'] == []


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('0 0.5 0.5', 'line 1: 3 numbers are neither'),
        ('7 0.5 0.5 0.1 0.1', 'line 1: its class is 7; there are 2, counted from 0'),
        ('0 100 50 20 10', 'line 1: its numbers are no shares of a picture'),
        ('cat 0.5 0.5 0.1 0.1', 'line 1: could not convert'),
        ('0 0.9 0.5 0.5 0.1', 'reaches out of the picture'),
        ('0 nan 0.5 0.5 0.1', 'line 1: its numbers are no shares of a picture'),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_written(tmp_path, line, said):
    yolo(tmp_path)
    label = tmp_path / 'labels' / 'train' / 'p1.txt'
    label.write_text(line + '\n')
    with pytest.raises(DistillationError, match=said):
        convert_own(tmp_path)
    assert not (tmp_path / 'coco').exists()
    own = convert_own(tmp_path, leave_out_broken=True)
    assert '1 left out' in own.said
    assert 'p1' not in truth_of(tmp_path, own.files, ('train', 'val'))


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda root: (root / 'data.yaml').unlink(), 'the names of the classes are not in .*: write them into classes'),
        (lambda root: (root / 'data.yaml').write_text('names: {1: cat}'), 'the numbers of its names are not 0 to 0'),
        (lambda root: (root / 'Annotations').mkdir(), 'has the layouts voc, yolo: say which is meant'),
    ],
    ids=['no names', 'other numbers', 'two layouts'],
)
def test_what_is_not_clear_is_asked(tmp_path, change, said):
    yolo(tmp_path)
    change(tmp_path)
    with pytest.raises(DistillationError, match=said):
        convert_own(tmp_path)


def test_a_folder_of_none_of_the_layouts_is_refused(tmp_path):
    draw(tmp_path, NAMES)
    with pytest.raises(DistillationError, match='has none of the layouts voc, coco, yolo, labelimg'):
        convert_own(tmp_path)


def test_pictures_that_are_elsewhere_are_one_error(tmp_path):
    one_coco_file(tmp_path)
    (tmp_path / 'images').rename(tmp_path / 'hidden')
    with pytest.raises(DistillationError, match=r'p0\.jpg, is in none of .*: put the pictures there') as error:
        convert_own(tmp_path)
    assert len(error.value.problems) == 1


def config_above(fragment: str, root: Path, train: str, val: str) -> str:
    """The lines that the fragment's first comment asks for."""
    return (
        f"_base_ = '{REPO}/configs/_base_/datasets/{fragment}.py'\n"
        f"own = dict(data_root='{root}/', metainfo=dict(classes=('cat', 'dog')))\n"
        "num_classes = len(own['metainfo']['classes'])\n"
        f"train_dataloader = dict(dataset=dict(**own, ann_file='{train}'))\n"
        f"val_dataloader = dict(dataset=dict(**own, ann_file='{val}'))\n"
        'test_dataloader = val_dataloader\n'
    )


def trained_on(folder: Path, tiny_set: Path, lines: str) -> dict:
    """Full marks for the truth by the fragment's metric; then an epoch and its validation, as a user runs them."""
    (folder / 'data.py').write_text(lines)
    data = Config.fromfile(folder / 'data.py')
    cfg = tiny_student_cfg(tiny_set, folder / 'run', **{'train_cfg.max_epochs': 1})
    for key in DATA_KEYS:
        cfg[key] = data[key]
    cfg.model.roi_head.bbox_head.num_classes = data.num_classes
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].update(num_workers=0, persistent_workers=False)
        next(step for step in cfg[key].dataset.pipeline if step.type == 'Resize').scale = (WIDTH, HEIGHT)
    assert judge_the_truth(cfg)['coco/bbox_mAP'] == pytest.approx(1)
    cfg.dump(folder / 'tiny.py')
    call_tool('tools/train.py', folder / 'tiny.py', '--work-dir', folder / 'run')
    (log,) = (folder / 'run').rglob('scalars.json')
    return json.loads(log.read_text().splitlines()[-1])


@pytest.mark.parametrize(
    'draw_layout',
    [coco, *(pytest.param(each, marks=pytest.mark.slow) for each in LAYOUTS if each is not coco)],
    ids=lambda draw: draw.__name__,
)
def test_each_layout_trains_and_is_judged(tmp_path, tiny_set, draw_layout):
    root = tmp_path / 'set'
    draw_layout(root)
    call_tool('tools/dataset_converters/own.py', root)
    lines = config_above('own_coco', root, 'coco/train.json', 'coco/val.json')
    assert 'coco/bbox_mAP' in trained_on(tmp_path, tiny_set, lines)


@pytest.mark.slow
def test_vocs_layout_trains_as_it_is(tmp_path, tiny_set):
    root = tmp_path / 'set'
    voc(root)
    lines = config_above('own_voc', root, 'ImageSets/Main/train.txt', 'ImageSets/Main/val.txt')
    assert 'coco/bbox_mAP' in trained_on(tmp_path, tiny_set, lines)
