"""The teacher's knowledge is lazy, and without a graph."""

import pytest
import torch
from helpers.architectures import c4, cascade, faster
from helpers.distil import build
from mmdet.structures.bbox import bbox2roi

from mmdet_kd.knowledge import TeacherKnowledge, record_calls

ROIS = bbox2roi([torch.tensor([[2.0, 3, 40, 50]]), torch.tensor([[0.0, 0, 63, 63], [5, 5, 25, 35]])])


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def counting(detector):
    points = {name: (getattr(detector, name), 'forward') for name in ('backbone', 'rpn_head')}
    if detector.with_neck:
        points['neck'] = (detector.neck, 'forward')
    points['roi'] = (detector.roi_head, '_bbox_forward')
    return record_calls(points)


@pytest.mark.parametrize(
    ('ask', 'expected'),
    [
        (lambda t: None, {'backbone': 0, 'neck': 0, 'rpn_head': 0, 'roi': 0}),
        (lambda t: t.features('backbone'), {'backbone': 1, 'neck': 0, 'rpn_head': 0, 'roi': 0}),
        (lambda t: t.features('neck'), {'backbone': 1, 'neck': 1, 'rpn_head': 0, 'roi': 0}),
        (lambda t: t.rpn, {'backbone': 1, 'neck': 1, 'rpn_head': 1, 'roi': 0}),
        (lambda t: t.roi(0, ROIS), {'backbone': 1, 'neck': 1, 'rpn_head': 0, 'roi': 1}),
        (
            lambda t: [(t.rpn, t.roi(0, ROIS), t.features('neck'), t.features('backbone')) for _ in range(2)],
            {'backbone': 1, 'neck': 1, 'rpn_head': 1, 'roi': 2},
        ),
    ],
)
def test_each_piece_is_computed_on_first_ask_and_once(ask, expected, student_cfg, images):
    detector = build(student_cfg).eval()
    with counting(detector) as calls:
        ask(TeacherKnowledge(detector, images))
    assert {name: len(made) for name, made in calls.items()} == expected


@pytest.mark.parametrize('architecture', [faster, c4, cascade])
def test_no_graph(architecture, student_cfg, images):
    """Even where somebody forgot to freeze the detector, and the RoIs hang on the student's graph."""
    detector = build(architecture(student_cfg)).eval().requires_grad_(True)
    teacher = TeacherKnowledge(detector, images)
    rois = ROIS.clone().requires_grad_()
    made = [*teacher.features('backbone'), *teacher.rpn.cls_scores, *teacher.rpn.bbox_preds, *teacher.roi(0, rois * 1)]
    assert not any(tensor.requires_grad for tensor in made)
    assert torch.is_grad_enabled()


def test_maps_are_the_detectors(student_cfg, images):
    detector = build(student_cfg).eval()
    teacher = TeacherKnowledge(detector, images)
    with torch.no_grad():
        neck = detector.extract_feat(images)
        scores, deltas = detector.rpn_head(neck)
    asked = (*teacher.features('neck'), *teacher.rpn.cls_scores, *teacher.rpn.bbox_preds)
    for ours, theirs in zip(asked, (*neck, *scores, *deltas), strict=True):
        assert torch.equal(ours, theirs)


def test_without_a_neck_the_heads_read_the_backbone(student_cfg, images):
    detector = build(c4(student_cfg)).eval()
    teacher = TeacherKnowledge(detector, images)
    assert len(teacher.features('backbone')) == len(teacher.rpn.cls_scores) == 1
    assert teacher.roi(0, ROIS).cls_score.shape == (3, 4)


def test_a_stage_that_the_teacher_lacks_is_judged_by_its_last(student_cfg, images):
    single = TeacherKnowledge(build(student_cfg).eval(), images)
    assert torch.equal(single.roi(2, ROIS).cls_score, single.roi(0, ROIS).cls_score)
    three = TeacherKnowledge(build(cascade(student_cfg)).eval(), images)
    assert torch.equal(three.roi(7, ROIS).cls_score, three.roi(2, ROIS).cls_score)
    assert not torch.equal(three.roi(1, ROIS).cls_score, three.roi(2, ROIS).cls_score)


def test_no_rois(student_cfg, images):
    outputs = TeacherKnowledge(build(student_cfg).eval(), images).roi(0, torch.zeros(0, 5))
    assert outputs.cls_score.shape == (0, 4)
    assert outputs.bbox_pred.shape == (0, 12)
