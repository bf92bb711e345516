"""What annotation files hold, counted by hand, and the pictures of a validation that a model was trained on."""

import json
import shutil

import pytest
from helpers.distil import distilled_cfg, save_teacher
from helpers.in_process import train_in_this_process
from helpers.tiny import CLASSES, call_tool, tiny_student_cfg, tiny_teacher_cfg, write_tiny_coco
from mmengine.config import Config

from mmdet_kd.report import findings_of, finished_trainings
from mmdet_kd.report.splits import seen_before, split_of


def write(path, pictures, objects):
    """A file in COCO's format; an object is (picture, category, area, more)."""
    images = [dict(id=number, file_name=f'{number}.png', width=200, height=200) for number in range(pictures)]
    annotations = [
        dict(id=number, image_id=image, category_id=category, bbox=[0, 0, 9, 9], area=area, **more)
        for number, (image, category, area, more) in enumerate(objects)
    ]
    categories = [dict(id=number, name=name) for number, name in enumerate(('car', 'bus', 'tram'))]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))


def with_dataset(dataset):
    return Config(dict(train_dataloader=dict(dataset=dataset)))


def test_objects_are_counted_by_size_and_class(tmp_path):
    areas = (1023, 1024, 9215, 9216)
    objects = [(0, index % 2, area, {}) for index, area in enumerate(areas)]
    others = [(0, 2, 5, {}), (1, 0, 5, dict(iscrowd=1)), (1, 0, 5, dict(ignore=1))]  # another class, no objects
    write(tmp_path / 'a.json', 3, objects + others)
    write(tmp_path / 'b.json', 2, [(1, 1, 10, {})])
    one = dict(
        type='CocoDataset', data_root=str(tmp_path), ann_file='a.json', metainfo=dict(classes=('bus', 'none', 'car'))
    )
    other = dict(one, ann_file='b.json', data_prefix=dict(img='more/'))
    found = split_of(with_dataset(dict(type='RepeatDataset', times=2, dataset=one)), 'train')
    assert found.pictures == {str(tmp_path / f'{number}.png') for number in range(3)}
    assert found.sizes == {'small': 1, 'medium': 2, 'large': 1}
    assert list(found.classes.items()) == [('bus', 2), ('none', 0), ('car', 2)]
    both = split_of(with_dataset(dict(type='ConcatDataset', datasets=[one, other, one])), 'train')
    assert len(both.pictures) == 5
    assert both.sizes == {'small': 2, 'medium': 2, 'large': 1}
    assert both.classes == {'bus': 3, 'none': 0, 'car': 2}

    (tmp_path / 'list.txt').write_text('0\n')
    for unknown in (dict(one, indices=2), dict(one, ann_file='list.txt'), dict(one, ann_file='gone.json')):
        assert split_of(with_dataset(unknown), 'train') is None
        assert split_of(with_dataset(dict(type='ConcatDataset', datasets=[one, unknown])), 'train') is None
    assert split_of(with_dataset(one), 'val') is None


def test_a_comparison_has_the_numbers_of_its_data(compared):
    data = findings_of(finished_trainings([compared / 'out' / 'slow']), looks=False).data
    for words, name in (('training', 'train'), ('validation', 'val')):
        content = json.loads((compared / 'set' / f'{name}.json').read_text())
        assert data[words].pictures == {str(compared / 'set' / name / f'00{number}.png') for number in range(2)}
        labels = [each['category_id'] - 1 for each in content['annotations']]
        assert data[words].classes == {
            title: labels.count(label) for label, title in enumerate(('circle', 'square', 'triangle'))
        }
        assert sum(data[words].sizes.values()) == len(labels)


def test_pictures_that_a_model_was_trained_on_are_found_by_their_files(tiny_set, tmp_path):
    """The pictures of both splits have the same names, in two folders."""
    cfg = tiny_teacher_cfg(tiny_set, 'unused')
    judged = split_of(cfg, 'val')
    assert seen_before('teacher', cfg, judged, 'AP') == []
    assert seen_before('teacher', cfg, None, 'AP') == []

    cfg.train_dataloader.dataset.update(ann_file='val.json', data_prefix=dict(img='val/'))
    said = 'pictures of this set are in the training set of teacher, as its config says, so its AP is too high.'
    assert seen_before('teacher', cfg, judged, 'AP') == [f'4 of the 4 {said}']

    content = json.loads((tiny_set / 'val.json').read_text())
    content['images'] = [dict(image, file_name=f'val/{image["file_name"]}') for image in content['images'][:3]]
    content['annotations'] = []
    (tmp_path / 'some.json').write_text(json.dumps(content))
    cfg.train_dataloader.dataset.update(ann_file=str(tmp_path / 'some.json'), data_prefix=dict(img=''))
    assert seen_before('teacher', cfg, judged, 'AP') == [f'3 of the 4 {said}']

    cfg.train_dataloader.dataset.ann_file = str(tmp_path / 'gone.json')
    assert seen_before('teacher', cfg, judged, 'AP') == []
    cfg.pop('train_dataloader')
    assert seen_before('teacher', cfg, judged, 'AP') == []


def test_an_arm_that_was_trained_on_what_it_is_judged_on_is_named(compared, tmp_path):
    shutil.copytree(compared / 'out' / 'slow' / 'seed0', tmp_path / 'slow')
    assert findings_of(finished_trainings([tmp_path / 'slow']), looks=False).notes == []
    for config in tmp_path.glob('slow/*/vis_data/config.py'):
        text = config.read_text()
        assert 'train.json' in text
        config.write_text(text.replace('train.json', 'val.json').replace("img='train/'", "img='val/'"))
    assert findings_of(finished_trainings([tmp_path / 'slow']), looks=False).notes == [
        '2 of the 2 pictures of this set are in the training set of slow, as its config says, so its AP is too high.'
    ]


@pytest.mark.slow
def test_a_report_says_that_a_teacher_knows_the_pictures_and_measures_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_in_this_process(monkeypatch)
    data = write_tiny_coco('set', num_train=2, num_val=5)
    student, teacher = (
        make(data, 'unused', **{'train_cfg.max_epochs': 1}) for make in (tiny_student_cfg, tiny_teacher_cfg)
    )
    teacher.train_dataloader.dataset.update(ann_file='val.json', data_prefix=dict(img='val/'))
    checkpoint = save_teacher(teacher, tmp_path / 'teacher.pth', dataset_meta=dict(classes=CLASSES))
    student.dump('student.py')
    teacher.dump('teacher.py')
    distilled_cfg(student, 'teacher.py', checkpoint).dump('distilled.py')

    def reported():
        call_tool('tools/compare.py', 'student.py', 'distilled.py', '--out', 'out')
        return (tmp_path / 'out' / 'report.md').read_text()

    text = reported()
    said = (
        '5 of the 5 pictures of this set are in the training set of teacher, as its config says, so its AP is too high.'
    )
    _, _, scores = text.partition('## Scores')
    assert scores.partition('##')[0].rstrip().endswith(said)
    assert '| pictures | 2 | 5 |' in text
    assert 'pictures/s' in text
    assert str(tmp_path) not in text
    assert reported() == text  # with the same speeds
