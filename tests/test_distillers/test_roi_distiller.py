"""The RoI distiller on real detectors, against a loop over the sampled RoIs."""

import copy
import math

import pytest
import torch
from helpers.architectures import c4, cascade, decoded, double_head, faster, mask, ohem
from helpers.boxes import decode, encode
from helpers.distil import BOUNDED, ROI, SOFT
from helpers.pairs import bound, observed, pair_of

from mmdet_kd.distillers import RoIDistiller, Shares
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import box_heads


def agnostic(cfg):
    """Class-agnostic regression with a coder of its own."""
    cfg = copy.deepcopy(cfg)
    cfg.model.roi_head.bbox_head.reg_class_agnostic = True
    cfg.model.roi_head.bbox_head.bbox_coder.update(target_means=[0.1, 0, 0, -0.1], target_stds=[0.08, 0.1, 0.15, 0.2])
    return cfg


def decoded_cascade(cfg):
    cfg = cascade(cfg)
    for head in cfg.model.roi_head.bbox_head:
        head.update(reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss', loss_weight=1.0))
    return cfg


PAIRS = [
    (faster, faster),
    (agnostic, faster),
    (faster, agnostic),
    (decoded, faster),
    (cascade, faster),
    (faster, cascade),
    (cascade, cascade),
    (decoded_cascade, agnostic),
    (double_head, faster),
    (faster, double_head),
    (ohem, faster),
    (c4, c4),
    (faster, c4),
]


def softmax(z):
    total = sum(math.exp(v) for v in z)
    return [math.exp(v) / total for v in z]


def by_loops(pair, step, stage, background_weight):
    """Soft loss summed over the RoIs of one stage, their number, and the errors of both sides on the positive ones."""
    (call,) = step.raw[f'roi{stage}']
    rois, (labels, label_weights, targets, _) = call.arguments['rois'], call.result['bbox_targets']
    roi_head, detector = pair.teacher.detector.roi_head, pair.teacher.detector
    heads_s, heads_t = box_heads(pair.student.detector.roi_head), box_heads(roi_head)
    judge = min(stage, len(heads_t) - 1)
    with torch.no_grad():
        stage_argument = [judge] if len(heads_t) > 1 else []
        results = roi_head._bbox_forward(*stage_argument, detector.extract_feat(step.images), rois)
    soft, sampled, errors = 0.0, 0, []
    for i in range(len(rois)):
        p_s, p_t = (softmax(z[i].tolist()) for z in (call.arguments['cls_score'], results['cls_score']))
        for c in range(len(p_s)):
            class_weight = background_weight if c == len(p_s) - 1 else 1.0
            soft -= float(label_weights[i]) * class_weight * p_t[c] * math.log(p_s[c])
        sampled += 1
        label = int(labels[i])
        if label == len(p_s) - 1:
            continue
        box, target = rois[i, 1:].tolist(), targets[i].tolist()
        if heads_s[stage].reg_decoded_bbox:
            target = encode(box, target, heads_s[stage].bbox_coder)
        d_s, d_t = (
            deltas[i].tolist()[4 * label : 4 * label + 4] if deltas.shape[1] > 4 else deltas[i].tolist()
            for deltas in (call.arguments['bbox_pred'], results['bbox_pred'])
        )
        d_t = encode(box, decode(box, d_t, heads_t[judge].bbox_coder), heads_s[stage].bbox_coder)
        errors.append(tuple(sum((p - q) ** 2 for p, q in zip(d, target, strict=True)) for d in (d_s, d_t)))
    assert sampled == len(label_weights)
    return soft, sampled, errors


@pytest.mark.parametrize(('student', 'teacher'), PAIRS)
def test_losses_are_the_loops(student, teacher, student_cfg, teacher_cfg):
    pair = pair_of(student(student_cfg), teacher(teacher_cfg))
    stages = len(box_heads(pair.student.detector.roi_head))
    stage_weights = [1, 0.5, 0.25] if stages == 3 else [1]
    with observed(pair) as step:
        loops = [by_loops(pair, step, stage, background_weight=1.5) for stage in range(stages)]
        margin, _ = bound([error for _, _, errors in loops for error in errors])
        distiller = RoIDistiller(
            pair, loss_cls=dict(SOFT, loss_weight=0.7), loss_bbox=dict(BOUNDED, margin=margin, loss_weight=0.4)
        )
        losses = distiller(*step.sides)
    cls = bbox = 0.0
    for weight, (soft, sampled, errors) in zip(stage_weights, loops, strict=True):
        cls += weight * 0.7 * soft / sampled
        bbox += weight * 0.4 * sum(s for s, t in errors if s + margin > t) / sampled
    assert set(losses) == {'cls', 'bbox'}
    assert losses['cls'].item() == pytest.approx(cls, rel=1e-4)
    assert losses['bbox'].item() == pytest.approx(bbox, rel=1e-3)


def test_a_mask_branch_changes_nothing(student_cfg, teacher_cfg):
    """The student's masks are its own affair; its box head is judged by a teacher with a mask branch just so."""
    plain = pair_of(student_cfg, teacher_cfg)
    masked = pair_of(student_cfg, mask(teacher_cfg))
    masked.teacher.detector.load_state_dict(plain.teacher.detector.state_dict(), strict=False)
    values = []
    for pair in (plain, masked):
        with observed(pair) as step:
            losses = RoIDistiller(pair, loss_cls=SOFT, loss_bbox=BOUNDED)(*step.sides)
            values.append({name: loss.item() for name, loss in losses.items()})
    assert values[0] == values[1]


def test_gradient_reaches_the_students_head_and_no_teacher(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    pair.teacher.detector.requires_grad_(True)
    with observed(pair) as step:
        distiller = RoIDistiller(pair, loss_cls=SOFT, loss_bbox=dict(BOUNDED, margin=float('inf')))
        losses = distiller(*step.sides)
        sum(losses.values()).backward()
    head = pair.student.detector.roi_head.bbox_head
    assert all(layer.weight.grad.abs().sum() > 0 for layer in (head.fc_cls, head.fc_reg, head.shared_fcs[0]))
    assert pair.student.detector.rpn_head.rpn_cls.weight.grad is None
    assert all(p.grad is None for p in pair.teacher.detector.parameters())


@pytest.mark.parametrize('part', ['cls', 'bbox'])
def test_each_part_alone(part, student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    distiller = RoIDistiller(pair, **{f'loss_{part}': SOFT if part == 'cls' else BOUNDED})
    with observed(pair) as step:
        assert set(distiller(*step.sides)) == {part}


@pytest.mark.parametrize('architecture', [faster, decoded, cascade, decoded_cascade])
def test_without_ground_truth_the_regression_is_an_attached_zero(architecture, student_cfg, teacher_cfg):
    pair = pair_of(architecture(student_cfg), teacher_cfg)
    distiller = RoIDistiller(pair, loss_cls=SOFT, loss_bbox=BOUNDED)
    with observed(pair, boxes=(0, 0)) as step:
        losses = distiller(*step.sides)
        losses['bbox'].backward()
    assert losses['bbox'].item() == 0
    assert losses['cls'] > 0
    for head in box_heads(pair.student.detector.roi_head):
        assert (head.fc_reg.weight.grad == 0).all()


@pytest.mark.parametrize('teacher', [faster, cascade])
@pytest.mark.parametrize('student', [cascade, decoded_cascade])
def test_flat_boxes_between_the_stages_of_a_cascade_train(student, teacher, student_cfg, teacher_cfg):
    """A stage may push a box over the border; clipped, it has no width, and no encoding. It is never a positive one."""
    pair = pair_of(student(student_cfg), teacher(teacher_cfg))
    with torch.no_grad():
        pair.student.detector.roi_head.bbox_head[0].fc_reg.bias.copy_(torch.tensor([30.0, 0, 0, 0]))
    distiller = RoIDistiller(pair, loss_cls=SOFT, loss_bbox=BOUNDED)
    with observed(pair) as step:
        rois = step.raw['roi1'][0].arguments['rois']
        assert (rois[:, 3] <= rois[:, 1]).any()
        losses = distiller(*step.sides)
        sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    parameters = pair.student.detector.parameters()
    assert all(p.grad is None or p.grad.isfinite().all() for p in parameters)


@pytest.mark.parametrize('architecture', [faster, agnostic, decoded])
def test_without_a_single_roi_both_are_attached_zeros(architecture, student_cfg, teacher_cfg):
    """No truth, and no proposal that is large enough: mmdet trains on, and so do we."""
    cfg = architecture(student_cfg)
    cfg.model.train_cfg.rpn_proposal.min_bbox_size = 1000
    pair = pair_of(cfg, teacher_cfg)
    distiller = RoIDistiller(pair, loss_cls=SOFT, loss_bbox=BOUNDED)
    with observed(pair, boxes=(0, 0)) as step:
        assert len(step.raw['roi0'][0].arguments['rois']) == 0
        losses = distiller(*step.sides)
        sum(losses.values()).backward()
    assert losses['cls'].item() == losses['bbox'].item() == 0
    head = pair.student.detector.roi_head.bbox_head
    assert all((layer.weight.grad == 0).all() for layer in (head.fc_cls, head.fc_reg))


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('loss_cls', 0.2),
        ('s0.loss_cls', 0.2),
        ('s12.loss_cls', 0.2),
        ('loss_bbox', 1.0),
        ('loss_rpn_cls', 1.0),
        ('loss_mask', 1.0),
        ('aux.loss_cls', 1.0),
        ('loss_cls_extra', 1.0),
    ],
)
def test_mu_weighs_the_hard_classification(name, expected, student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    assert Shares({'roi': RoIDistiller(pair, loss_cls=SOFT, mu=0.2).claim}).hard(name) == expected
    assert RoIDistiller(pair, loss_bbox=BOUNDED, mu=0.2).claim is None


# What does not fit.


def of_five_classes(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.model.roi_head.bbox_head.num_classes = 5
    return cfg


def seesaw(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.model.roi_head.bbox_head.loss_cls = dict(type='SeesawLoss', num_classes=3)
    return cfg


def build_on(pair):
    return RoIDistiller(pair, **{k: v for k, v in ROI.items() if k != 'type'})


def test_other_numbers_of_classes(student_cfg, teacher_cfg):
    with pytest.raises(DistillationError, match='the student knows 3 classes, the teacher 5: take a teacher'):
        build_on(pair_of(student_cfg, of_five_classes(teacher_cfg)))


def test_a_head_without_softmax_is_named(student_cfg, teacher_cfg):
    expected = r"teacher's Shared2FCBBoxHead \(stage 0\) does not say what class .*: it does not classify by a softmax"
    with pytest.raises(DistillationError, match=expected):
        build_on(pair_of(student_cfg, seesaw(teacher_cfg)))


def test_a_side_without_a_roi_head(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    del pair.teacher.detector.roi_head
    with pytest.raises(DistillationError, match='the teacher has no RoI head with a box branch'):
        build_on(pair)


def test_each_side_and_stage_that_does_not_fit_is_listed(student_cfg, teacher_cfg):
    pair = pair_of(cascade(student_cfg), teacher_cfg)
    for head in pair.student.detector.roi_head.bbox_head[1:]:
        head.with_reg = False
    pair.teacher.detector.roi_head.bbox_head.with_cls = False
    with pytest.raises(DistillationError, match='3 problems') as caught:
        build_on(pair)
    for problem, where in zip(caught.value.problems, ("student's", "student's", "teacher's"), strict=True):
        assert where in problem


def test_a_step_in_which_no_box_head_trained_is_an_error(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    with observed(pair) as step:
        step.student._calls['roi.0.loss'].clear()
        with pytest.raises(RuntimeError, match='no box head of the StandardRoIHead called its loss'):
            build_on(pair)(*step.sides)


def test_a_stage_of_the_teachers_is_read_with_the_coder_of_that_stage(student_cfg, teacher_cfg):
    pair = pair_of(cascade(student_cfg), cascade(teacher_cfg))
    coders = [theirs for _, theirs in RoIDistiller(pair, loss_bbox=BOUNDED)._coders]
    heads = box_heads(pair.teacher.detector.roi_head)
    assert all(coder is head.bbox_coder for coder, head in zip(coders, heads, strict=True))
