"""The sizes of pictures that configs of mmdet name, and what is said of a pair."""

import pytest
from mmengine.config import Config

from mmdet_kd.config_writer import sizes_said


def trained_on(*steps, **model):
    return dict(model=dict(type='FasterRCNN', **model), train_dataloader=dict(dataset=dict(pipeline=list(steps))))


def taught_by(teacher, *steps, **model):
    distilled = dict(teacher=dict(config=teacher), distillers={}, **model)
    return Config(trained_on(*steps, **distilled))


SMALL = dict(type='Resize', scale=(320, 200), keep_ratio=True)
#: As DETR's: one of two ways.
CHOICE = dict(
    type='RandomChoice',
    transforms=[
        [dict(type='RandomChoiceResize', scales=[(480, 1333), (800, 1333)])],
        [dict(type='RandomCrop', crop_size=(384, 600)), dict(type='mmdet.RandomChoiceResize', scales=[(512, 1333)])],
    ],
)


@pytest.mark.parametrize(
    ('step', 'said'),
    [
        (dict(type='Resize', scale=(1333, 800)), '1333x800'),
        (CHOICE, '480x1333 to 800x1333'),
        (dict(type='RandomResize', scale=(640, 640), ratio_range=(0.1, 2.0)), '640x640 times 0.1 to 2'),
        (dict(type='RandomResize', scale=[(1333, 640), (1333, 800)]), '1333x640 to 1333x800'),
        (dict(type='RandomFlip', prob=0.5), 'none'),
    ],
)
def test_of_a_teacher_are_those_of_its_own_training(step, said):
    (line,) = sizes_said(taught_by(trained_on(step), SMALL))
    seen = 'pictures: resized to 320x200 for the student, and the teacher sees the same'
    assert line == f'{seen}; the size in its own config is {said}'


def test_of_a_student_of_smaller_pictures_and_of_a_student_alone():
    (line,) = sizes_said(taught_by(trained_on(SMALL), SMALL, student_scale=0.5))
    assert line.startswith('pictures: resized to 320x200 for the teacher, and the student sees 0.5 of that; ')
    assert sizes_said(Config(trained_on(SMALL))) == ['pictures: resized to 320x200 for the student']
    assert sizes_said(Config(trained_on())) == ['pictures: of no size that its config says for the student']
