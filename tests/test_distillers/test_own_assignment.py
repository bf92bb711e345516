"""Responses of heads that assign priors by what they predict, against mmdet's own losses of the same step."""

import math

import pytest
import torch
from helpers.distil import AS_ALONE, build, distilled_cfg, losses_of, raw_batch, soft_part, total
from helpers.point_heads import POINT_HEADS, autoassign
from mmdet.structures.bbox import bbox_overlaps, distance2bbox

from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import rows_of
from mmdet_kd.knowledge import record_calls

YES_OR_NO = dict(type='SoftenedKLLoss', use_sigmoid=True, temperature=1.0)
RESPONSE = dict(type='DenseHeadDistiller', loss_cls=YES_OR_NO, loss_bbox=dict(type='GIoULoss', loss_weight=2.0))
SCORE_MAPS = dict(type='FeatureDistiller', source='dense.cls', loss=dict(type='CWDLoss'))
HEADS = ['yolox', pytest.param('rtmdet_sepbn', marks=pytest.mark.slow)]


def response_of(name):
    return dict(RESPONSE, objectness_weight=0.5) if name == 'yolox' else RESPONSE


def taught(student_cfg, teacher_cfg, name, **response):
    cfg = distilled_cfg(POINT_HEADS[name](student_cfg), POINT_HEADS[name](teacher_cfg), None, kd=response)
    cfg.model.teacher.update(AS_ALONE)
    detector = build(cfg)
    for seed, head in enumerate((detector.bbox_head, detector.teacher.detector.bbox_head)):
        generator = torch.Generator().manual_seed(seed)
        for parameter in head.parameters():
            if parameter.dim() > 1:
                parameter.data = torch.randn(parameter.shape, generator=generator) * (2 / parameter[0].numel()) ** 0.5
    return detector


class OfMmdet:
    """One step by mmdet's own names: rows of both sides (N, M, ...), the student's positives, what it divides by."""

    def __init__(self, detector, batch, name):
        head_s, head_t = detector.bbox_head, detector.teacher.detector.bbox_head
        targets = '_get_targets_single' if name == 'yolox' else 'get_targets'
        points = {'s': (head_s, 'forward'), 't': (head_t, 'forward'), 'targets': (head_s, targets)}
        points |= {name: (getattr(head_s, name), 'forward') for name in ('loss_cls', 'loss_bbox')}
        with record_calls(points) as calls:
            self.losses = losses_of(detector, batch)
            raw_s, raw_t = (calls[side][0].result for side in 'st')
            own = [call.result for call in calls['targets']]
            cls = sum(call.result.item() for call in calls['loss_cls'])
            self.given = [next(iter(call.arguments.values())) for call in calls['loss_bbox']]
        self.scores = [rows_of(list(raw[0]), 3).detach() for raw in (raw_s, raw_t)]
        sizes = [tuple(level.shape[-2:]) for level in raw_s[0]]
        priors = torch.cat(head_s.prior_generator.grid_priors(sizes, device='cpu', with_stride=True))
        regressed = [rows_of(list(raw[1]), 4).detach() for raw in (raw_s, raw_t)]
        if name == 'yolox':
            self.objectness = [rows_of(list(raw[2]), 1)[..., 0].detach() for raw in (raw_s, raw_t)]
            self.boxes = [head_s._bbox_decode(priors, each) for each in regressed]
            self.positive = torch.stack([of_picture[0] for of_picture in own])
            self.number = cls / self.losses['loss_cls'].item()
        else:
            self.objectness = [torch.full(self.scores[0].shape[:2], math.inf)] * 2
            self.boxes = [torch.stack([distance2bbox(priors[:, :2], one) for one in each]) for each in regressed]
            self.positive = torch.cat([level.view(len(raw_s[0][0]), -1) for level in own[0][1]], dim=1) < 3
            self.number = self.positive.sum().item()
        self.kd = {part.removeprefix('kd.loss_'): loss.item() for part, loss in soft_part(self.losses).items()}


def cross_entropy(z, p):
    return -p * math.log(1 / (1 + math.exp(-z))) - (1 - p) * math.log(1 - 1 / (1 + math.exp(-z)))


@pytest.mark.parametrize('name', HEADS)
def test_the_positives_the_boxes_and_the_divisor_are_those_of_the_students_own_loss(student_cfg, teacher_cfg, name):
    step = OfMmdet(taught(student_cfg, teacher_cfg, name, **response_of(name)), raw_batch((6, 5)), name)
    places = step.positive.nonzero().tolist()
    assert len(places) > 5
    assert step.number == pytest.approx(len(places), rel=1e-4)
    own = torch.cat([each.detach().reshape(-1, 4) for each in step.given])  # that mmdet's box loss was given
    decoded = step.boxes[0][step.positive]
    assert torch.cdist(own, decoded).amin(dim=0).max() < 1e-2
    giou = bbox_overlaps(*step.boxes, mode='giou', is_aligned=True)
    cls = bbox = 0.0
    for image, place in places:
        z_s, z_t = (scores[image, place].tolist() for scores in step.scores)
        p_t = [1 / (1 + math.exp(-z)) for z in z_t]
        floor = [-(p * math.log(p) + (1 - p) * math.log(1 - p)) for p in p_t]
        cls += sum(cross_entropy(z, p) - least for z, p, least in zip(z_s, p_t, floor, strict=True)) / 3
        weight = max(p_t) * step.objectness[1][image, place].sigmoid().item()
        bbox += weight * (1 - giou[image, place].item())
    assert step.kd['cls'] == pytest.approx(cls / len(places), rel=1e-3)
    assert step.kd['bbox'] == pytest.approx(2.0 * bbox / len(places), rel=1e-3)
    if name == 'yolox':
        rows = zip(*(each.flatten().tolist() for each in step.objectness), strict=True)
        apart = [(s, 1 / (1 + math.exp(-t)), 1 / (1 + math.exp(-s))) for s, t in rows]
        expected = sum(abs(p_s - p_t) * cross_entropy(s, p_t) for s, p_t, p_s in apart)
        assert step.kd['obj'] == pytest.approx(0.5 * expected / len(places), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['yolox', 'rtmdet_sepbn', 'rtmdet', 'rtmdet_plain'])
def test_a_student_that_is_its_teacher_and_pictures_without_truth(student_cfg, name):
    detector = taught(student_cfg, student_cfg, name, **response_of(name))
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    detector.load_state_dict(detector.teacher.detector.state_dict(), strict=False)
    losses = soft_part(losses_of(detector, raw_batch((3, 2))))
    assert total(losses).item() == pytest.approx(0, abs=1e-4)
    total(losses).backward()
    assert max(p.grad.abs().max().item() for p in detector.parameters() if p.grad is not None) < 1e-3
    losses = soft_part(losses_of(taught(student_cfg, student_cfg, name, **response_of(name)), raw_batch((0, 0))))
    assert all(math.isfinite(loss.item()) and loss.requires_grad for loss in losses.values())
    assert losses['kd.loss_cls'] == losses['kd.loss_bbox'] == 0
    if name == 'yolox':
        assert losses['kd.loss_obj'] > 0  # which is of all priors


BACKGROUND = 'say which object is there if there is one; where there is none they mean nothing'


@pytest.mark.parametrize(
    ('name', 'distiller', 'message'),
    [
        ('yolox', dict(type='BCKDDistiller'), f'{BACKGROUND}.*take a DenseHeadDistiller with objectness_weight'),
        ('yolox', dict(RESPONSE, priors='all'), f"{BACKGROUND}.*write priors='positive'"),
        pytest.param(
            'rtmdet',
            dict(RESPONSE, objectness_weight=1.0),
            "the student's RTMDetHead does not say how good each box is",
            marks=pytest.mark.slow,
        ),
        pytest.param('yolox', dict(RESPONSE, objectness_weight=-1.0), 'objectness_weight', marks=pytest.mark.slow),
    ],
)
def test_what_means_nothing_is_refused(student_cfg, teacher_cfg, name, distiller, message):
    cfgs = (POINT_HEADS[name](cfg) for cfg in (student_cfg, teacher_cfg))
    with pytest.raises((DistillationError, ValueError), match=message):
        build(distilled_cfg(*cfgs, None, kd=distiller), init=False)


@pytest.mark.parametrize(
    ('names', 'distiller', 'whose'),
    [
        (('rtmdet', 'yolox'), dict(type='BCKDDistiller'), "the teacher's YOLOXHead"),
        (('rtmdet', 'yolox'), dict(RESPONSE, priors='all'), "the teacher's YOLOXHead"),
        (('rtmdet', 'yolox'), SCORE_MAPS, "the teacher's YOLOXHead"),
        (('yolox', 'rtmdet'), SCORE_MAPS, "the student's YOLOXHead"),
        (('vfnet', 'autoassign'), SCORE_MAPS, "the teacher's AutoAssignHead"),
    ],
)
def test_what_means_nothing_is_refused_of_either_side(student_cfg, teacher_cfg, names, distiller, whose):
    families = {**POINT_HEADS, 'autoassign': autoassign}
    cfgs = (families[name](cfg) for name, cfg in zip(names, (student_cfg, teacher_cfg), strict=True))
    with pytest.raises(DistillationError, match=f'{whose} {BACKGROUND}'):
        build(distilled_cfg(*cfgs, None, kd=distiller), init=False)


@pytest.mark.slow
def test_a_centerness_is_no_objectness(student_cfg, teacher_cfg):
    family = POINT_HEADS['fcos_in_strides']
    cfg = distilled_cfg(family(student_cfg), family(teacher_cfg), None, kd=dict(RESPONSE, objectness_weight=1.0))
    with pytest.raises(
        DistillationError, match="the student's FCOSHead has no objectness: leave objectness_weight out"
    ):
        build(cfg, init=False)
