"""What detectors find is judged, and the pictures on which they differ are found; then a page of a real comparison."""

import pytest
import torch
from helpers.distil import build, distilled_cfg, save_teacher
from mmengine.structures import InstanceData

from mmdet_kd.comparison import Recipe, Training
from mmdet_kd.report import document_of, findings_of, finished_trainings
from mmdet_kd.report.detectors import Detector, size_of, teachers_of
from mmdet_kd.report.judging import judge, most_different, side_by_side
from mmdet_kd.report.looking import Looked, look, look_once


def found(*boxes):
    """Boxes (x1, y1, x2, y2, label), from the best score on."""
    rows = torch.tensor(boxes, dtype=torch.float).reshape(-1, 5)
    return InstanceData(bboxes=rows[:, :4], labels=rows[:, 4].long())


def objects(*boxes, ignored=()):
    return [
        dict(bbox=list(box), bbox_label=label, ignore_flag=int(index in ignored))
        for index, (*box, label) in enumerate(boxes)
    ]


def counts(judged):
    return tuple(map(len, judged))


class TestJudging:
    def test_each_object_is_found_once_in_its_class(self):
        truth = objects((0, 0, 10, 10, 0), (20, 0, 30, 10, 1))
        assert counts(judge(found((0, 0, 10, 10, 0), (0, 0, 10, 9, 0)), truth)) == (1, 1, 1)  # twice
        assert counts(judge(found((0, 0, 10, 10, 1)), truth)) == (0, 1, 2)  # in another class
        assert counts(judge(found((0, 0, 10, 4.9, 0)), truth)) == (0, 1, 2)  # overlaps by 0.49
        assert counts(judge(found((0, 0, 10, 5.1, 0)), truth)) == (1, 0, 1)

    def test_a_detection_takes_what_it_overlaps_most_and_is_free(self):
        truth = objects((0, 0, 10, 10, 0), (2, 0, 12, 10, 0))
        judged = judge(found((2, 0, 12, 10, 0), (2, 0, 12, 10, 0)), truth)
        assert counts(judged) == (2, 0, 0)
        judged = judge(found((2, 0, 12, 10, 0)), truth)
        assert judged.missed.tolist() == [[0, 0, 10, 10]]

    def test_what_does_not_count_is_neither_right_nor_wrong(self):
        truth = objects((0, 0, 10, 10, 0), (20, 0, 30, 10, 0), ignored=[1])
        assert counts(judge(found((20, 0, 30, 10, 0)), truth)) == (0, 0, 1)

    def test_pictures_without_objects(self):
        assert judge(found(), []).quality == 1
        assert counts(judge(found((0, 0, 1, 1, 0)), [])) == (0, 1, 0)
        assert judge(found((0, 0, 1, 1, 0)), []).quality == 0


def test_pictures_are_those_on_which_the_arms_differ_whoever_is_right():
    one = objects((0, 0, 10, 10, 0))
    hit, nothing, both = found((0, 0, 10, 10, 0)), found(), found((0, 0, 10, 10, 0), (30, 0, 40, 10, 0))
    looked = Looked(
        ['first', 'second', 'teacher'],
        found=dict(
            first={4: hit, 7: hit, 2: nothing, 5: hit},
            second={4: hit, 7: nothing, 2: hit, 5: both},
            teacher={4: nothing, 7: hit, 2: hit, 5: hit},  # which is not compared
        ),
        truths=dict.fromkeys((4, 7, 2, 5), one),
    )
    assert most_different(looked, ['first', 'second'], 3) == [2, 7, 5]


def test_a_teacher_is_shown_only_if_its_classes_are_those_of_the_data(student_cfg, teacher_cfg, tmp_path):
    def shown(classes, known=(), **options):
        checkpoint = save_teacher(teacher_cfg, tmp_path / 'teacher.pth', dataset_meta=dict(classes=classes))
        cfg = distilled_cfg(student_cfg, teacher_cfg.to_dict(), checkpoint)
        cfg.model.teacher.update(options)
        cfg.dump(tmp_path / 'taught.py')
        return teachers_of(Training('taught', Recipe(str(tmp_path / 'taught.py')), tmp_path), known)

    found, missing = shown(('circle', 'square', 'triangle'))
    assert missing == []
    assert found['teacher'].labels is None
    assert found['teacher'].cfg.val_dataloader == student_cfg.val_dataloader
    found, missing = shown(('triangle', 'square', 'circle'), classes_by_name=True)
    assert found['teacher'].labels.tolist() == [2, 1, 0]
    assert shown(('a', 'b', 'c')) == (
        {},
        ['The teacher of taught is left out: its classes are not those of the data.'],
    )
    assert shown(('a', 'b', 'c'), known=[str(tmp_path / 'teacher.pth')]) == ({}, [])


@pytest.mark.slow
def test_detectors_see_each_validation_picture_once_and_their_classes_are_judged(student_cfg):
    model = build(student_cfg).eval()
    model.roi_head.test_cfg.score_thr = 0.0
    detectors = {
        'student': Detector(model, student_cfg),
        'teacher': Detector(model, student_cfg, teaches='teacher.pth'),
    }
    looked = look(detectors)
    assert sorted(looked.truths) == [0, 1, 2, 3]
    assert {len(each) for each in looked.seconds.values()} == {4}
    assert looked.logged['student'] == looked.logged['teacher']
    assert {'coco/circle_precision', 'coco/bbox_mAP'} <= looked.logged['student'].keys()
    assert look(detectors, most=2).logged == {}  # of a part of the pictures there is no AP
    copies = side_by_side(looked, [3])['003.png']
    assert [copy.who for copy in copies] == ['truth', 'student', 'teacher']
    assert all(copy.webp.startswith(b'RIFF') for copy in copies)
    student_cfg.val_dataloader.dataset.data_prefix.img = 'gone/'
    with pytest.raises(FileNotFoundError, match=r'no such picture: .*gone'):
        look(detectors)


@pytest.mark.slow
def test_what_was_found_is_kept_until_a_detector_is_another(student_cfg, tmp_path):
    model, path = build(student_cfg).eval(), tmp_path / 'looked.json'
    bias = model.roi_head.bbox_head.fc_cls.bias.data
    bias[0] = 3.0  # so that detections count
    detectors = {'as it is': Detector(model, student_cfg), 'teacher': Detector(model, student_cfg, teaches='a.pth')}
    direct, kept, again = look(detectors), look_once(detectors, path), look_once(detectors, path)
    assert again.seconds == kept.seconds != direct.seconds
    for name in ('titles', 'paths', 'size'):
        assert getattr(again, name) == getattr(direct, name)
    keys = ('bbox', 'bbox_label', 'ignore_flag')
    for index, objects_of in direct.truths.items():
        assert again.truths[index] == [{key: each[key] for key in keys} for each in objects_of]
    assert again.truths.keys() == direct.truths.keys()
    assert again.logged == direct.logged
    boxes = 0
    for title, by_index in direct.found.items():
        for index, instances in by_index.items():
            boxes += len(instances)
            for key, value in instances.items():
                assert torch.equal(again.found[title][index][key], value)
                assert again.found[title][index][key].dtype == value.dtype
    assert boxes > 8
    assert side_by_side(again, [3]) == side_by_side(direct, [3])

    detectors['teacher'].labels = torch.tensor([2, 1, 0])
    other = look_once(detectors, path)
    assert other.seconds != again.seconds
    bias[0] = 3.5
    assert look_once(detectors, path).seconds != other.seconds
    path.write_text(path.read_text().replace('003.png', 'gone.png'))
    with pytest.raises(FileNotFoundError, match=r'no such picture: .*gone'):
        look_once(detectors, path)


@pytest.mark.slow
def test_the_labels_of_a_teacher_become_those_of_the_data(student_cfg):
    model = build(student_cfg).eval()
    labels = torch.tensor([2, -1, 0])
    plain = look({'as it is': Detector(model, student_cfg)}).found['as it is']
    named = look({'by name': Detector(model, student_cfg, labels)}).found['by name']
    for index, instances in plain.items():
        expected = [labels[label].item() for label in instances.labels if labels[label] >= 0]
        assert named[index].labels.tolist() == expected


@pytest.mark.slow
def test_what_is_gone_is_left_out_and_said(compared, tmp_path, monkeypatch):
    trainings = finished_trainings([compared / 'out' / 'slow', compared / 'out' / 'fast'])
    whole = findings_of(trainings)
    assert whole.missing == []
    assert whole.models['slow'] == size_of_student(trainings[0])
    (compared / 'set' / 'val').rename(tmp_path / 'val')
    try:
        less = findings_of(trainings)
    finally:
        (tmp_path / 'val').rename(compared / 'set' / 'val')
    (sentence,) = less.missing
    assert sentence.startswith('Detections and their speed are left out: ')
    assert 'no such picture' in sentence
    titles = [section.title for section in document_of(less).sections]
    assert 'Detections side by side' not in titles
    assert {'Scores', 'The models', 'What is not in this report'} <= set(titles)


def size_of_student(training):
    """Its size with nothing of its speed, since two pictures are too few to measure that."""
    cfg = training.recipe.read()
    return size_of(Detector(build(cfg, init=False), cfg))
