"""A table of broken and hostile annotation files: each ends in one message that names the file and the entry."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from helpers import hostile, tiny_student_cfg, write_tiny_coco
from helpers.tiny import call_tool, log_of
from mmdet.registry import DATASETS
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from test_datasets.layouts import draw_voc, write_xml

from mmdet_kd.datasets.picture_files import picture_size
from mmdet_kd.errors import DistillationError
from mmdet_kd.runtime import check_data_files, require_annotations
from mmdet_kd.runtime.annotation_files import annotation_problems
from mmdet_kd.runtime.data_classes import config_class_problems


@pytest.fixture(autouse=True)
def _bounded():
    """End a test that waits for a pipe, reads a device to its end, or takes too much."""
    with hostile.bounded():
        yield


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    return write_tiny_coco(tmp_path_factory.mktemp('drawn'))


@pytest.fixture
def cfg(drawn, tmp_path):
    """Of annotations of its own, and of pictures that all tests share."""
    root = tmp_path / 'set'
    root.mkdir()
    for part in drawn.iterdir():
        (root / part.name).symlink_to(part) if part.is_dir() else shutil.copy(part, root)
    return tiny_student_cfg(root, tmp_path / 'run')


@pytest.fixture
def path(cfg):
    return Path(cfg.train_dataloader.dataset.data_root, 'train.json')


def problems_of(cfg):
    return annotation_problems(cfg, ('train',))[0]


def change(path, part, index, **values):
    content = json.loads(path.read_text())
    content[part][index].update(values)
    path.write_text(json.dumps(content))


NAN, INF, HUGE = float('nan'), float('inf'), 10**400


@pytest.mark.parametrize(
    ('part', 'values', 'message'),
    [
        ('annotations', dict(bbox=[NAN, 2, 9, 9]), 'bbox of annotation 103 is not four finite numbers: [nan, 2, 9, 9]'),
        ('annotations', dict(bbox=[1, 2, INF, 9]), 'bbox of annotation 103 is not four finite numbers'),
        ('annotations', dict(bbox=[1, 2, HUGE, 9]), 'bbox of annotation 103 is not four finite numbers'),
        ('annotations', dict(bbox=[1, True, 9, 9]), 'bbox of annotation 103 is not four finite numbers'),
        ('annotations', dict(bbox=[[1] * 10**6, 2, 9, 9]), 'bbox of annotation 103 is not four finite numbers'),
        ('annotations', dict(area=NAN), 'the area of annotation 103 cannot be nan'),
        ('annotations', dict(area=-3), 'the area of annotation 103 cannot be -3'),
        ('annotations', dict(bbox=[30, 30, -9, 9]), 'annotation 103 has a negative width or height'),
        ('annotations', dict(bbox=[-5, 2, 9, 9]), 'annotation 103 reaches out of its picture, which is 64x64'),
        ('annotations', dict(bbox=[60, 2, 9, 9]), 'annotation 103 reaches out of its picture, which is 64x64'),
        ('annotations', dict(bbox=[1, 2, 1e308, 9]), 'annotation 103 reaches out of its picture'),
        ('annotations', dict(image_id=99), 'annotation 103 is of image_id 99, which is not in "images"'),
        ('annotations', dict(category_id=99), 'annotation 103 is of category_id 99, which is not in "categories"'),
        ('annotations', dict(id=101), 'ids of "annotations" are there twice: 101'),
        ('images', dict(id=1), 'ids of "images" are there twice: 1'),
        ('images', dict(width=0), 'image 2 has no area, its size is 0x64'),
        ('images', dict(height=NAN), 'image 2 has no area, its size is 64xnan'),
        ('images', dict(height=-64), 'image 2 has no area, its size is 64x-64'),
        ('images', dict(file_name='\x1b[2J.png'), r"control characters: '\x1b[2J.png'"),
        ('categories', dict(name=7), 'entry 2 of "categories" has no name, or of a wrong kind'),
        ('categories', dict(name='\x1b[2J'), r"control characters: '\x1b[2J'"),
    ],
)
def test_a_wrong_entry_of_a_coco_file(cfg, path, part, values, message):
    assert problems_of(cfg) == []
    content = json.loads(path.read_text())
    for number, annotation in enumerate(content['annotations']):
        annotation['id'] = 101 + number  # no index of the list
    path.write_text(json.dumps(content))
    change(path, part, 2, **values)
    problem, *others = problems_of(cfg)
    assert problem.startswith(f'{path}: ')
    assert message in problem
    assert len(problem) < 1000
    assert all('is of image_id 2, which is not in "images"' in other for other in others)  # where that became 1


def deep_json(path):
    path.write_text('{"images":' + '[' * 10**6)


NO_FILES = {
    name: (make, 'more than' if name == 'huge' else 'no regular file') for name, make in hostile.no_files().items()
}
NO_JSON = {
    **NO_FILES,
    'zeros': (lambda path: hostile.zeros(path, 7 << 30), 'does not begin with'),
    'empty': (Path.touch, 'does not begin with'),
    'deep': (deep_json, 'nested too deeply'),
    'page': (lambda path: path.write_text('<html><body>404</body></html>'), 'does not begin with'),
    'pickle': (lambda path: path.write_bytes(pickle.dumps({})), 'no JSON'),
    'bytes': (lambda path: path.write_bytes(b'{"\xff": 1}'), 'no JSON'),
    'number': (lambda path: path.write_text('{"a": ' + '9' * 10**5 + '}'), 'no JSON'),
}


@pytest.mark.parametrize('place', ['data set', 'metric'])
@pytest.mark.parametrize('kind', NO_JSON)
def test_what_is_no_json(cfg, path, place, kind):
    if place == 'metric':
        path = path.with_name('truth.json')
        cfg.train_evaluator = dict(type='KittiMetric', ann_file=str(path))
    else:
        path.unlink()
    make, reason = NO_JSON[kind]
    make(path)
    (problem,) = problems_of(cfg)
    assert str(path) in problem
    assert reason in problem


@pytest.mark.parametrize('place', ['data set', 'metric'])
@pytest.mark.parametrize('kind', NO_FILES)
def test_what_is_no_file_is_refused_before_anything_is_built(cfg, path, place, kind):
    """On every rank, without opening it."""
    if place == 'metric':
        path = path.with_name('truth.json')
        cfg.val_evaluator.ann_file = str(path)
    else:
        path.unlink()
    make, reason = NO_FILES[kind]
    make(path)
    with pytest.raises(DistillationError, match=reason) as caught:
        check_data_files(cfg, ['train', 'val'])
    (problem,) = caught.value.problems
    assert str(path) in problem


class Code:
    """Its pickle makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('name', ['a.pkl', 'a.PKL', 'a.pickle', 'a.yaml', 'a.yml'])
@pytest.mark.parametrize('key', ['ann_file', 'proposal_file', 'meta_file'])
def test_a_file_that_would_run_code_is_refused_by_a_training(cfg, tmp_path, name, key):
    mark, path = tmp_path / 'ran', tmp_path / name
    if path.suffix.lower() in ('.yaml', '.yml'):
        path.write_text(f'!!python/object/apply:os.mkdir ["{mark}"]')
    else:
        path.write_bytes(pickle.dumps(Code(mark)))
    if key == 'ann_file':
        cfg.train_dataloader.dataset.type = 'BaseDetDataset'
    cfg.train_dataloader.dataset[key] = str(path)
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(SystemExit, match='which may run code when it is read') as caught:
        call_tool('tools/train.py', tmp_path / 'config.py')
    assert f"train_dataloader.dataset.{key}='{path}'" in str(caught.value)
    assert not mark.exists()


def test_a_pickled_truth_of_a_metric_and_one_on_a_server_are_refused(cfg):
    cfg.val_evaluator.ann_file = 'truth.pkl'
    cfg.train_dataloader.dataset.ann_file = 'https://example.org/a.pkl'
    cfg.val_dataloader.dataset.split_file = 'refs.p'
    with pytest.raises(DistillationError) as caught:
        check_data_files(cfg, ['train', 'val'])
    text = '\n'.join(caught.value.problems)
    for value in ('truth.pkl', 'https://example.org/a.pkl', 'refs.p'):
        assert f'{value!r} is a pickle or YAML' in text


def test_a_training_names_a_wrong_box_before_it_starts(cfg, path, tmp_path):
    change(path, 'annotations', 2, bbox=[1, 2, INF, 9])
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(SystemExit, match=r'train\.json: the bbox of annotation \d+ is not four finite numbers'):
        call_tool('tools/train.py', tmp_path / 'config.py')
    assert not list((tmp_path / 'run').glob('*.pth'))


def test_what_mmdet_leaves_out_of_a_coco_file_is_counted(cfg, path, tmp_path):
    """As many as its own data set leaves out."""
    before = count_objects(cfg)
    faults = [
        dict(iscrowd=1),
        dict(ignore=1),
        dict(bbox=[64, 2, 9, 9]),
        dict(bbox=[-9, 2, 9, 9]),
        dict(bbox=[1, 2, 0.5, 9]),
        dict(bbox=[1, 2, 0, 0]),
        dict(area=0),
    ]
    content = json.loads(path.read_text())
    template = dict(content['annotations'][0], area=81, iscrowd=0)
    for number, fault in enumerate(faults, start=1000):
        content['annotations'].append({**template, 'bbox': [1, 2, 9, 9], **fault, 'id': number})
    path.write_text(json.dumps(content))
    assert count_objects(cfg) == before
    line = (
        f'{path}: mmdet does not count 7 boxes as objects: 1 crowds, 1 marked "ignore", 2 outside of their picture, '
        '2 less than a pixel wide or high, 1 of an area of 0'
    )
    assert annotation_problems(cfg, ('train',)) == ([], [line])
    require_annotations(Runner.from_cfg(cfg))
    assert line in log_of(tmp_path / 'run')


def count_objects(cfg):
    dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': [], 'serialize_data': False})
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return sum(not instance['ignore_flag'] for info in infos for instance in info['instances'])


@pytest.fixture
def voc(cfg, tmp_path):
    root = draw_voc(tmp_path / 'VOCdevkit')
    part = dict(ann_file='VOC2007/ImageSets/Main/trainval.txt', data_prefix=dict(sub_data_root='VOC2007/'))
    cfg.train_dataloader.dataset = ConfigDict(type='VOCDataset', data_root=f'{root}/', **part)
    return cfg


@pytest.fixture
def xml(voc):
    return Path(voc.train_dataloader.dataset.data_root, 'VOC2007', 'Annotations', 'tr0001.xml')


@pytest.mark.parametrize(
    ('objects', 'message'),
    [
        ([('dog', ('nan', 2, 9, 9))], 'object 1: its corners (nan, 2.0, 9.0, 9.0) are not finite'),
        ([('dog', (1, 2, 9, 'inf'))], 'object 1: its corners'),
        ([('cat', (1, 2, 9, 9)), ('dog', (9, 2, 5, 9))], 'object 2: its box (9, 2, 5, 9) has no area'),
        (
            [('dog', (9, 2, 9, 9))],
            '(9, 2, 9, 9) has no area: correct it, or leave it out with filter_cfg=dict(bbox_min_size=1)',
        ),
        ([('dog*', (9, 2, 5, 9))], 'object 1: its box (9, 2, 5, 9) has no area'),
        ([('dog', (9.2, 2, 9.8, 9))], 'object 1: its box (9, 2, 9, 9) has no area'),
        ([('dog', (-5, 2, 9, 9))], 'object 1: its box (-5, 2, 9, 9) reaches out of the picture, which is 200x100'),
        ([('dog', (1, 2, 9, 103))], 'object 1: its box (1, 2, 9, 103) reaches out of the picture'),
        ([('dgo', (1, 2, 9, 9))], "object 1: 'dgo' is no class of the set"),
    ],
)
def test_a_wrong_object_of_an_xml(voc, xml, objects, message):
    assert problems_of(voc) == []
    write_xml(xml, objects)
    (problem,) = problems_of(voc)
    assert problem.startswith(f'{xml}, ')
    assert message in problem


FLAT = [('dog', (9, 2, 9, 9)), ('dog', (20, 30, 28, 30)), ('dog', (1, 1, 9, 9)), ('dog', (1, 1, 99, 99))]


@pytest.mark.parametrize(('least', 'count'), [(1, 2), (9, 3)])
def test_boxes_that_the_config_leaves_out_may_have_no_area(voc, xml, least, count):
    before, objects = annotation_problems(voc, ('train',))[1], count_objects(voc)
    write_xml(xml, FLAT)
    assert len(problems_of(voc)) == 2
    write_xml(xml, FLAT[3:])
    few = count_objects(voc)
    assert few < objects
    voc.train_dataloader.dataset.filter_cfg = dict(bbox_min_size=least)
    write_xml(xml, FLAT)
    problems, (line,) = annotation_problems(voc, ('train',))
    assert problems == []
    assert f'{count} smaller than bbox_min_size={least}' in line
    assert count_objects(voc) == few + len(FLAT) - 1 - count  # mmdet leaves out as many
    assert before != line
    write_xml(xml, [('dog', (9, 2, 5, 9))])  # reversed, it is a mistake
    assert 'its box (9, 2, 5, 9) has no area' in problems_of(voc)[0]


def test_boxes_without_area_in_a_set_that_is_judged_on_are_counted(voc, xml):
    """mmdet has no `bbox_min_size` there."""
    voc.val_dataloader.dataset = ConfigDict(voc.train_dataloader.dataset, test_mode=True)
    write_xml(xml, FLAT)
    problems, lines = annotation_problems(voc, ('val',))
    assert problems == []
    assert 'trainval.txt: 2 boxes have no area, and no detection can match them' in lines[0]
    write_xml(xml, [('dog', (9, 2, 5, 9)), ('dog', (1, 2, 9, 999)), ('dgo', (9, 2, 9, 9))])
    assert len(annotation_problems(voc, ('val',))[0]) == 3


LAUGHS = '<!DOCTYPE a [<!ENTITY a0 "ha">{}]><annotation><object><name>&a20;</name></object></annotation>'.format(
    ''.join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 21))
)
NO_XML = {
    **NO_FILES,
    'page': (lambda path: path.write_text('<html><body>404</body></html>'), 'no <annotation> but <html>'),
    'empty': (Path.touch, 'truncated or no XML'),
    'bomb': (lambda path: path.write_text(LAUGHS), 'truncated or no XML'),
    'deep': (lambda path: path.write_text('<annotation>' + '<a>' * 10**4), 'truncated or no XML'),
    'closed': (lambda path: path.write_text('<a>' * 10**4 + '</a>' * 10**4), 'no <annotation> but <a>'),
    'no size': (lambda path: write_xml(path, [('dog', (1, 2, 9, 9))], (0, 0)), 'its picture cannot be 0x0'),
}


@pytest.mark.parametrize('kind', NO_XML)
def test_what_is_no_annotation_in_xml(voc, xml, kind):
    xml.unlink()
    make, reason = NO_XML[kind]
    make(xml)
    (problem,) = problems_of(voc)
    assert str(xml) in problem
    assert reason in problem


def test_a_picture_that_gives_the_size_of_an_xml(voc, xml):
    """mmdet opens it while it reads the annotations."""
    text = xml.read_text()
    xml.write_text(text[: text.index('<size>')] + text[text.index('</size>') + 7 :])
    assert problems_of(voc) == []
    picture = xml.parent.parent / 'JPEGImages' / 'tr0001.jpg'
    picture.unlink()
    os.mkfifo(picture)
    (problem,) = problems_of(voc)
    assert f'the picture {picture} cannot be read (it is no regular file' in problem


@pytest.mark.parametrize('kind', NO_FILES)
def test_a_picture_that_is_no_file(tmp_path, kind):
    make, reason = NO_FILES[kind]
    make(tmp_path / 'a.png')
    with pytest.raises(ValueError, match=rf'{tmp_path}/a\.png cannot be read .*{reason}'):
        picture_size(tmp_path / 'a.png')


def test_a_list_that_is_no_file_or_names_a_picture_twice(voc):
    path = Path(voc.train_dataloader.dataset.data_root, voc.train_dataloader.dataset.ann_file)
    path.write_text('tr0001\ntr0002\ntr0001\n')
    (problem,) = problems_of(voc)
    assert f"{path} names 'tr0001' twice" in problem
    path.unlink()
    os.mkfifo(path)
    (problem,) = problems_of(voc)
    assert f'{path} cannot be read (it is no regular file' in problem


def test_what_mmdet_leaves_out_of_xml_is_counted(voc, xml):
    voc.train_dataloader.dataset.metainfo = dict(classes=('dog', 'cat'))
    (before,), objects = annotation_problems(voc, ('train',))[1], count_objects(voc)
    text = xml.read_text().replace('</annotation>', '')
    wrong = '<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>'
    xml.write_text(
        f'{text}<object><name>dog</name><difficult>1</difficult>{wrong}</object>'
        f'<object><name>dgo</name><difficult>0</difficult>{wrong}</object></annotation>'
    )
    problems, (after,) = annotation_problems(voc, ('train',))
    assert problems == []
    assert count_objects(voc) == objects
    assert counts(after, 'marked "difficult"') == counts(before, 'marked "difficult"') + 1
    assert counts(after, 'of classes that') == counts(before, 'of classes that') + 1


def counts(line, kind):
    parts = [part.split(' ', 1) for part in line.rpartition('objects: ')[2].split(', ')]
    return sum(int(count) for count, name in parts if name.startswith(kind))


def test_a_file_that_several_name_is_parsed_once(cfg, path, monkeypatch):
    cfg.val_dataloader.dataset.ann_file = str(path)
    cfg.val_evaluator = [dict(type='CocoMetric', ann_file=str(path)), dict(type='KittiMetric', ann_file=str(path))]
    load, parsed = json.loads, []
    monkeypatch.setattr('json.loads', lambda text: parsed.append(text) or load(text))
    assert annotation_problems(cfg, ('train', 'val')) == ([], [])
    assert len(parsed) == 1


@pytest.mark.parametrize('classes', [(1, 2, 3), 5, [['circle'], ['square']], {'circle': 0}])
def test_classes_that_are_no_strings(cfg, classes):
    cfg.train_dataloader.dataset.metainfo.classes = classes
    (problem,) = config_class_problems(cfg, ('train',))
    assert problem.startswith('train_dataloader.dataset.metainfo has classes=')
    assert problem.endswith(': write the names as a tuple of strings')
