"""Levels are paired by stride; where that does not decide, the error has the line to write."""

import re

import pytest
from helpers.distil import HINT, distilled_cfg
from helpers.one_stage import retinanet
from mmdet.registry import MODELS

from mmdet_kd.distillers.levels import pair_levels
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import MapShape

FASTER, RETINANET, YOLOV3, YOLOX = (4, 8, 16, 32, 64), (8, 16, 32, 64, 128), (32, 16, 8), (8, 16, 32)


def pair(student, teacher, **arguments):
    shapes = ([MapShape(1, stride) for stride in strides] for strides in (student, teacher))
    return pair_levels('FeatureDistiller', 'neck', *shapes, **arguments)


@pytest.mark.parametrize(
    ('student', 'teacher', 'arguments', 'expected'),
    [
        (FASTER, FASTER, {}, ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4))),
        (YOLOX, YOLOV3, {}, ((0, 1, 2), (2, 1, 0))),
        ((4, 4), (4, 4), {}, ((0, 1), (0, 1))),  # an hourglass repeats its stride; so does the other
        (FASTER, RETINANET, dict(levels=(1, 2)), ((1, 2), (0, 1))),
        (FASTER, RETINANET, dict(levels=(0,), teacher_levels=(0,)), ((0,), (0,))),
        (FASTER, RETINANET, dict(pairing='index'), ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4))),
        ((8, 17), (8, 16), {}, ((0, 1), (0, 1))),  # a network that rounds
        # a student of pictures of half the size: cells that span the same part of the picture
        ((4, 8, 16), (8, 16, 32), dict(student_scale=0.5), ((0, 1, 2), (0, 1, 2))),
        ((4, 8, 16), (4, 8, 16, 32), dict(student_scale=0.5, levels=(0, 1)), ((0, 1), (1, 2))),
        (FASTER, FASTER, dict(student_scale=0.5), ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4))),  # of one architecture
        ((8, 11), (8, 16), dict(levels=(1,), pairing='index'), ((1,), (1,))),
    ],
)
def test_pairs(student, teacher, arguments, expected):
    assert pair(student, teacher, **arguments) == expected


@pytest.mark.parametrize(
    ('student', 'teacher', 'arguments', 'line'),
    [
        (FASTER, RETINANET, {}, 'levels=(1, 2, 3, 4), teacher_levels=(0, 1, 2, 3)'),
        (RETINANET, FASTER, {}, 'levels=(0, 1, 2, 3), teacher_levels=(1, 2, 3, 4)'),
        (FASTER, RETINANET, dict(levels=(0, 1)), 'levels=(1, 2, 3, 4), teacher_levels=(0, 1, 2, 3)'),
        (YOLOX, FASTER, {}, 'levels=(0, 1, 2), teacher_levels=(1, 2, 3)'),
        ((4, 4), (4,), {}, 'levels=(...), teacher_levels=(...)'),
        ((4,), (4, 4), {}, 'levels=(...), teacher_levels=(...)'),
        ((4,), (8,), {}, 'levels=(...), teacher_levels=(...)'),
        ((4, 8), (4, 8, 16), dict(student_scale=0.5), 'levels=(0, 1), teacher_levels=(1, 2)'),
        (FASTER, YOLOX, dict(pairing='index', levels=(0, 1, 2, 3)), "the teacher's neck has no level 3"),
    ],
)
def test_what_strides_do_not_decide(student, teacher, arguments, line):
    with pytest.raises(DistillationError, match=re.escape(line)):
        pair(student, teacher, **arguments)


def test_a_hint_from_a_pyramid_that_lies_an_octave_apart(student_cfg, teacher_cfg):
    """Both have five levels, and once were paired by index."""
    teacher = retinanet(teacher_cfg)
    teacher.model.neck.update(start_level=1, add_extra_convs='on_input', num_outs=5)
    teacher.model.bbox_head.anchor_generator.strides = list(RETINANET)
    with pytest.raises(
        DistillationError, match=r'strides 8, 16, 32, 64, 128\), and not each has one partner'
    ) as caught:
        MODELS.build(distilled_cfg(student_cfg, teacher, None, hint=HINT).model)
    line = re.search(r'levels=(\(.*?\)), teacher_levels=(\(.*?\))', str(caught.value))
    ours, theirs = (tuple(map(int, numbers.strip('()').split(', '))) for numbers in line.groups())
    detector = MODELS.build(
        distilled_cfg(student_cfg, teacher, None, hint={**HINT, 'levels': ours, 'teacher_levels': theirs}).model
    )
    assert detector.distillers['hint']._strides == [(8, 8), (16, 16), (32, 32), (64, 64)]
