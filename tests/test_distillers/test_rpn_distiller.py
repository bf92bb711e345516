"""The RPN distiller on real detectors, against a loop over the sampled anchors."""

import copy
import math

import pytest
import torch
from helpers.architectures import c4, cascade, decoded, faster, softmax_rpn
from helpers.boxes import decode, encode
from helpers.distil import BOUNDED, RPN, SOFT
from helpers.pairs import bound, observed, pair_of
from mmdet.registry import MODELS

from mmdet_kd.distillers import Model, ModelPair, RPNDistiller, Shares
from mmdet_kd.distillers.rpn_distiller import _anchor_problems, two_class_logits
from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import rows_of


def other_coder(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.model.rpn_head.bbox_coder.update(target_means=[0.1, 0.0, 0.0, -0.1], target_stds=[0.5, 0.5, 0.8, 0.8])
    return cfg


PAIRS = [
    (faster, faster),
    (faster, other_coder),
    (other_coder, faster),
    (softmax_rpn, faster),
    (faster, softmax_rpn),
    (softmax_rpn, softmax_rpn),
    (decoded, faster),
    (faster, decoded),
    (cascade, faster),
    (c4, c4),
]


def by_loops(pair, step, background_weight):
    """Soft loss summed over the sampled anchors, their number, and the errors of both sides on the positive ones.

    Levels, rows, columns and anchors are walked one by one."""
    (call,), (targets,) = step.raw['rpn'], step.raw['rpn_targets']
    head_s, head_t = pair.student.detector.rpn_head, pair.teacher.detector.rpn_head
    with torch.no_grad():
        outputs_t = head_t(pair.teacher.detector.extract_feat(step.images))
    anchors_a_cell = head_s.num_base_priors
    _, label_weights, bbox_targets, bbox_weights, _ = targets.result[:5]
    soft, sampled, errors = 0.0, 0, []
    for level, (scores_s, deltas_s) in enumerate(zip(*call.result, strict=True)):
        scores_t, deltas_t = outputs_t[0][level], outputs_t[1][level]
        for image in range(len(scores_s)):
            row = -1
            for y in range(scores_s.shape[2]):
                for x in range(scores_s.shape[3]):
                    for a in range(anchors_a_cell):
                        row += 1
                        weight = float(label_weights[level][image, row])
                        if weight == 0:
                            continue
                        sampled += 1
                        p_s, p_t = (
                            _two_classes(s, anchors_a_cell, image, a, y, x) for s in (scores_s.detach(), scores_t)
                        )
                        soft -= weight * (p_t[0] * math.log(p_s[0]) + background_weight * p_t[1] * math.log(p_s[1]))
                        if bbox_weights[level][image, row, 0] == 0:
                            continue
                        anchor = targets.arguments['anchor_list'][image][level][row].tolist()
                        target = bbox_targets[level][image, row].tolist()
                        if head_s.reg_decoded_bbox:
                            target = encode(anchor, target, head_s.bbox_coder)
                        d_s, d_t = (d[image, 4 * a : 4 * a + 4, y, x].tolist() for d in (deltas_s, deltas_t))
                        d_t = encode(anchor, decode(anchor, d_t, head_t.bbox_coder), head_s.bbox_coder)
                        error_s = sum((p - q) ** 2 for p, q in zip(d_s, target, strict=True))
                        error_t = sum((p - q) ** 2 for p, q in zip(d_t, target, strict=True))
                        errors.append((error_s, error_t))
    assert sampled == 64
    return soft, sampled, errors


def _two_classes(scores, anchors, image, a, y, x):
    z = [float(v) for v in scores[image].view(anchors, -1, *scores.shape[2:])[a, :, y, x]]
    z = z if len(z) == 2 else [z[0], 0.0]
    total = sum(math.exp(v) for v in z)
    return [math.exp(v) / total for v in z]


@pytest.mark.parametrize(('student', 'teacher'), PAIRS)
def test_losses_are_the_loops(student, teacher, student_cfg, teacher_cfg):
    pair = pair_of(student(student_cfg), teacher(teacher_cfg))
    with observed(pair) as step:
        soft, sampled, errors = by_loops(pair, step, background_weight=1.5)
        margin, paid = bound(errors)
        distiller = RPNDistiller(
            pair, loss_cls=dict(SOFT, loss_weight=0.7), loss_bbox=dict(BOUNDED, margin=margin, loss_weight=0.4)
        )
        losses = distiller(*step.sides)
    assert set(losses) == {'cls', 'bbox'}
    assert losses['cls'].item() == pytest.approx(0.7 * soft / sampled, rel=1e-4)
    assert losses['bbox'].item() == pytest.approx(0.4 * paid / sampled, rel=1e-3)


def test_gradient_reaches_the_students_rpn_and_no_teacher(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    pair.teacher.detector.requires_grad_(True)
    with observed(pair) as step:
        distiller = RPNDistiller(pair, loss_cls=SOFT, loss_bbox=dict(BOUNDED, margin=float('inf')))
        losses = distiller(*step.sides)
        sum(losses.values()).backward()
    head = pair.student.detector.rpn_head
    assert all(layer.weight.grad.abs().sum() > 0 for layer in (head.rpn_conv, head.rpn_cls, head.rpn_reg))
    assert pair.student.detector.neck.lateral_convs[0].conv.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in pair.teacher.detector.parameters())


@pytest.mark.parametrize('part', ['cls', 'bbox'])
def test_each_part_alone(part, student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    distiller = RPNDistiller(pair, **{f'loss_{part}': SOFT if part == 'cls' else BOUNDED})
    with observed(pair) as step:
        assert set(distiller(*step.sides)) == {part}


def test_without_ground_truth_the_regression_is_an_attached_zero(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    distiller = RPNDistiller(pair, loss_cls=SOFT, loss_bbox=BOUNDED)
    with observed(pair, boxes=(0, 0)) as step:
        losses = distiller(*step.sides)
        losses['bbox'].backward()
    assert losses['bbox'].item() == 0
    assert (pair.student.detector.rpn_head.rpn_reg.weight.grad == 0).all()
    assert losses['cls'] > 0


@pytest.mark.parametrize('architecture', [faster, softmax_rpn, c4])
def test_rows_are_in_the_order_of_the_anchors(architecture, student_cfg, teacher_cfg):
    """mmdet's own loss, on our rows and joined targets, must be mmdet's loss."""
    pair = pair_of(architecture(student_cfg), architecture(teacher_cfg))
    head = pair.student.detector.rpn_head
    with observed(pair) as step:
        (call,) = step.raw['rpn_targets']
        labels = torch.cat(call.result[0], dim=1).flatten()
        targets, outputs = step.student.rpn_targets, step.student.rpn
        rows = rows_of(outputs.cls_scores, head.cls_out_channels).flatten(0, 1)
        ours = head.loss_cls(rows, labels, targets.label_weights.flatten(), avg_factor=targets.avg_factor)
        theirs = head.loss_by_feat_single
        by_level = [
            theirs(score, delta, anchors, *level, avg_factor=call.result[4])
            for score, delta, anchors, *level in zip(
                *outputs,
                [torch.stack([a] * 2) for a in call.arguments['anchor_list'][0]],
                *call.result[:4],
                strict=True,
            )
        ]
        assert ours.item() == pytest.approx(sum(loss[0].item() for loss in by_level), rel=1e-5)
        deltas = rows_of(outputs.bbox_preds, 4).flatten(0, 1)
        target, weight = targets.bbox_targets.flatten(0, 1), targets.bbox_weights.flatten(0, 1)
        ours = head.loss_bbox(deltas, target, weight, avg_factor=targets.avg_factor)
        assert ours.item() == pytest.approx(sum(loss[1].item() for loss in by_level), rel=1e-5)


def test_two_class_logits():
    scores = torch.tensor([[-30.0], [-1.0], [0.0], [2.5], [30.0]])
    probability = torch.softmax(two_class_logits(scores), dim=1)
    torch.testing.assert_close(probability, torch.cat([scores.sigmoid(), (-scores).sigmoid()], dim=1))
    two = torch.randn(5, 2)
    assert two_class_logits(two) is two


@pytest.mark.parametrize(
    ('name', 'expected'), [('loss_rpn_cls', 0.2), ('loss_rpn_bbox', 1.0), ('loss_cls', 1.0), ('s0.loss_cls', 1.0)]
)
def test_mu_weighs_the_hard_classification(name, expected, student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, student_cfg)
    assert Shares({'rpn': RPNDistiller(pair, loss_cls=SOFT, mu=0.2).claim}).hard(name) == expected
    assert RPNDistiller(pair, loss_bbox=BOUNDED, mu=0.2).claim is None


# What does not fit.


def anchors(**changes):
    def change(cfg):
        cfg = copy.deepcopy(cfg)
        cfg.model.rpn_head.anchor_generator.update(changes)
        return cfg

    return change


def four_levels(cfg):
    cfg = anchors(strides=[4, 8, 16, 32])(cfg)
    cfg.model.neck.num_outs = 4
    return cfg


@pytest.mark.parametrize(
    ('change', 'count', 'match'),
    [
        (four_levels, 1, r'5 levels with strides \[4, 8, 16, 32, 64\], the teacher.s 4 with strides \[4, 8, 16, 32\]'),
        (anchors(strides=[4, 8, 16, 32, 128]), 1, 'strides'),
        (
            anchors(scales=[8]),
            1,
            r'level 0 differ \(student 23x11, 16x16, 11x23, teacher 45x23, 32x32, 23x45\)',
        ),
        (anchors(ratios=[0.5, 1.0]), 1, 'and so do those of 4 more: give both'),
        (
            anchors(base_sizes=[4, 8, 24, 32, 64]),
            1,
            r'of level 2 differ \(.*, teacher 136x68, 96x96, 68x136\): gi',
        ),
        (c4, 1, 'the teacher.s 1 with strides'),
    ],
)
def test_anchors_that_differ_are_one_problem(change, count, match, student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, change(teacher_cfg))
    with pytest.raises(DistillationError, match=match) as caught:
        RPNDistiller(pair, **{k: v for k, v in RPN.items() if k != 'type'})
    assert len(caught.value.problems) == count
    assert 'leave the RPNDistiller out' in str(caught.value)


def test_a_side_without_an_rpn(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    del pair.teacher.detector.rpn_head
    with pytest.raises(DistillationError, match='the teacher has no rpn_head'):
        RPNDistiller(pair, loss_cls=SOFT)


def test_the_anchors_of_a_head_on_the_meta_device_are_compared_as_numbers(student_cfg, teacher_cfg):
    """A teacher's shape is known before its weights are."""
    pair = pair_of(student_cfg, teacher_cfg)
    for scales, problems in (([4], 0), ([8], 1)):
        teacher_cfg.model.rpn_head.anchor_generator.scales = scales
        with torch.device('meta'):
            shape = MODELS.build(copy.deepcopy(teacher_cfg.model))
        assert shape.rpn_head.rpn_cls.weight.is_meta
        other = ModelPair(pair.student, Model('teacher', shape, teacher_cfg.model))
        assert len(_anchor_problems(other)) == problems


@pytest.mark.parametrize('mu', [-0.1, 1.1, float('nan')])
def test_mu_out_of_range(mu, student_cfg, teacher_cfg):
    with pytest.raises(DistillationError, match=rf'mu must lie in \[0, 1\], not {mu}'):
        RPNDistiller(pair_of(student_cfg, teacher_cfg), loss_cls=SOFT, mu=mu)


def test_all_arguments_that_are_wrong_are_listed(student_cfg, teacher_cfg):
    with pytest.raises(DistillationError, match='2 problems') as caught:
        RPNDistiller(pair_of(student_cfg, teacher_cfg), mu=2)
    assert 'neither loss_cls nor loss_bbox' in caught.value.problems[0]
