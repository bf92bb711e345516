"""Levels are paired by stride; where that does not decide, the error has the line to write."""

import copy
import re

import pytest
import torch
from helpers.distil import DENSE, HINT, RPN, distilled_cfg
from helpers.one_stage import gfl, retinanet
from helpers.zoo import CONFIGS
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.distillers import Model
from mmdet_kd.distillers.levels import pair_levels, stride_problems
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import MapShape, on_meta

FASTER, RETINANET, YOLOV3, YOLOX = (4, 8, 16, 32, 64), (8, 16, 32, 64, 128), (32, 16, 8), (8, 16, 32)
#: 300 pixels over the cells of its maps; those of its last but one are 64 pixels apart, and three of them show 300.
SSD300 = (8, 16, 30, 60, 100, 300)


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
        (SSD300, RETINANET, dict(levels=(0, 1, 2, 3, 4)), ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4))),
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
        (SSD300, RETINANET, {}, 'levels=(0, 1, 2, 3, 4), teacher_levels=(0, 1, 2, 3, 4)'),
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


@pytest.mark.slow
def test_an_ssd300_has_the_grids_of_the_pyramid_with_which_it_is_paired():
    """Its level of stride 100 is that of stride 128: 3 x 3 cells show the 300 pixels of the picture in both."""

    def grids(name):
        model = Config.fromfile(CONFIGS / name).model
        model.backbone.init_cfg = None
        with torch.device('meta'), torch.no_grad():
            detector = MODELS.build(model).eval().to('meta')
            return [tuple(feat.shape[-2:]) for feat in detector.extract_feat(torch.zeros(1, 3, 300, 300))]

    ssd, pyramid = grids('ssd/ssd300_coco.py'), grids('retinanet/retinanet_r50_fpn_1x_coco.py')
    assert ssd[:5] == pyramid == [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3)]


def of_other_strides(cfg):
    """Its anchors are those of strides 4 to 64; its maps have 8 to 128, so that mmdet trains it at wrong places."""
    cfg = copy.deepcopy(cfg)
    cfg.model.neck.update(start_level=1, add_extra_convs='on_input', num_outs=5)
    return cfg


def test_a_head_that_counts_other_strides_than_its_maps_have_is_refused(student_cfg, teacher_cfg):
    """The priors of both sides are the same numbers, and stand for other places."""
    bckd, gid, ld = ({'type': f'{name}Distiller'} for name in ('BCKD', 'GID', 'LD'))
    crosskd = {'type': 'CrossKDDistiller', 'depth': 1}
    cwd = {'type': 'FeatureDistiller', 'source': 'dense.cls', 'loss': {'type': 'CWDLoss'}}
    distillers = dict(bckd=bckd, gid=gid, ld=ld, crosskd=crosskd, dense=DENSE, cwd=cwd)
    cfg = distilled_cfg(gfl(student_cfg), of_other_strides(gfl(teacher_cfg)), None, **distillers)
    with pytest.raises(DistillationError) as caught:
        MODELS.build(cfg.model)
    said = "the teacher's GFLHead takes its maps for those of strides 4, 8, 16, 32, 64, and they have strides 8, 16, 32"
    refused = {problem.partition(':')[0] for problem in caught.value.problems if said in problem}
    assert refused == {f'distillers.{name}' for name in distillers}


@pytest.mark.slow
@pytest.mark.parametrize(
    'name',
    [
        'ssd/ssd300_coco.py',  # of stride 32 and 64, and measured as 30 and 60
        'ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py',  # of stride 160 and 320 for 256 and 512
        'yolact/yolact_r50_1xb8-55e_coco.py',  # of stride 110 for 128
        'yolo/yolov3_d53_8xb8-320-273e_coco.py',
        'yolof/yolof_r50-c5_8xb8-1x_coco.py',
        'faster_rcnn/faster-rcnn_r50-caffe-dc5_1x_coco.py',
        'pvt/retinanet_pvt-t_fpn_1x_coco.py',
    ],
)
def test_no_stock_head_is(name):
    model = Config.fromfile(CONFIGS / name).model
    side = Model('student', on_meta(lambda: MODELS.build(copy.deepcopy(model))), model)
    assert stride_problems('a distiller', side, side.anchored) == []


def test_so_is_an_rpn(student_cfg, teacher_cfg):
    fgfi = {**HINT, 'loss': {'type': 'FGFILoss'}, 'levels': (0,), 'teacher_levels': (1,)}
    cfg = distilled_cfg(of_other_strides(student_cfg), teacher_cfg, None, rpn=RPN, fgfi=fgfi)
    with pytest.raises(DistillationError) as caught:
        MODELS.build(cfg.model)
    rpn, fgfi = caught.value.problems
    said = "the student's RPNHead takes its maps for those of strides 4, 8, 16, 32, 64, and they have strides 8, 16, 32"
    assert said in rpn
    assert said in fgfi
