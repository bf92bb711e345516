"""Two sides that pad alike pictures to canvases of different size, or see them at different sizes."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers.distil import BOUNDED, DENSE, SOFT, build, distilled_cfg, raw_batch, step_of
from helpers.numeric import bilinear
from helpers.one_stage import retinanet
from helpers.pairs import observed, pair_of

from mmdet_kd.adapters import to_grid
from mmdet_kd.distillers import FeatureDistiller, ModelPair, RPNDistiller
from mmdet_kd.distillers.alignment import crop
from mmdet_kd.distillers.prior_maps import on_the_grids_of, same_grids
from mmdet_kd.heads import RPNOutputs, rows_of
from mmdet_kd.knowledge import TeacherKnowledge, observe_student


def outputs(*sides):
    """One anchor a cell; each cell's score says where it is."""
    scores = [torch.arange(side)[:, None] * 100.0 + torch.arange(side) for side in sides]
    maps = [score.expand(2, 1, side, side) for score, side in zip(scores, sides, strict=True)]
    return RPNOutputs(maps, [m.repeat(1, 4, 1, 1) for m in maps])


def test_crop_keeps_the_cells_that_touch_the_canvas():
    feat = torch.arange(24 * 24.0).view(1, 1, 24, 24)
    for canvas, side in (((72, 72), 18), ((73, 72), 19), ((96, 96), 24), ((400, 400), 24)):
        assert torch.equal(crop(feat, canvas, 4), feat[..., :side, : -(-canvas[1] // 4)])


def test_a_larger_grid_of_the_teachers_is_cropped():
    fitted, judged = on_the_grids_of(outputs(6, 3), outputs(8, 4), channels=1)
    assert all(torch.equal(a, b) for a, b in zip(fitted.cls_scores, outputs(6, 3).cls_scores, strict=True))
    assert judged.shape == (2, 6 * 6 + 3 * 3)
    assert judged.all()


def test_beyond_a_smaller_grid_the_teacher_says_nothing():
    fitted, judged = on_the_grids_of(outputs(6, 3), outputs(5, 2), channels=1)
    expected = rows_of(outputs(6, 3).cls_scores, 1)[..., 0]
    got = rows_of(fitted.cls_scores, 1)[..., 0]
    assert torch.equal(got[judged > 0], expected[judged > 0])
    assert judged.sum() == 2 * (25 + 4)
    assert [m.shape[-1] for m in fitted.bbox_preds] == [6, 3]


def test_a_grid_that_is_lower_and_wider_is_fitted_at_the_lower_right():
    """Every number is where it was, counted from the upper left corner."""
    teacher = RPNOutputs([torch.arange(8.0).view(1, 1, 2, 4)], [torch.arange(32.0).view(1, 4, 2, 4)])
    student = RPNOutputs([torch.zeros(1, 1, 3, 2)], [torch.zeros(1, 4, 3, 2)])
    fitted, judged = on_the_grids_of(student, teacher, channels=1)
    assert fitted.cls_scores[0].tolist() == [[[[0, 1], [4, 5], [0, 0]]]]
    assert fitted.bbox_preds[0][0, 1].tolist() == [[8, 9], [12, 13], [0, 0]]
    assert judged.tolist() == [[1, 1, 1, 1, 0, 0]]


@pytest.mark.parametrize(
    ('shapes', 'same'),
    [(((6, 4), (3, 2)), True), (((5, 4), (3, 2)), False), (((6, 5), (3, 2)), False), (((6, 4), (3, 1)), False)],
)
def test_grids_are_the_same_in_every_height_and_width(shapes, same):
    maps = [torch.zeros(1, 3, *shape) for shape in shapes]
    others = [torch.zeros(1, 12, 6, 4), torch.zeros(1, 12, 3, 2)]
    assert same_grids(maps, others) is same
    assert same_grids(others, maps) is same


# The distillers on such sides, by loops. The student's canvas is 64 px.


def on_canvas(images, side):
    """The same pictures with less, or more, at the lower right."""
    return F.pad(images, (0, side - images.shape[-1], 0, side - images.shape[-2]))


def priors_of(maps, channels):
    """(picture, level, row, column, anchor) -> its values, in the order of the targets."""
    return {
        (image, level, y, x, anchor): m[image, anchor * channels : (anchor + 1) * channels, y, x].tolist()
        for image in range(len(maps[0]))
        for level, m in enumerate(maps)
        for y in range(m.shape[2])
        for x in range(m.shape[3])
        for anchor in range(m.shape[1] // channels)
    }


def sigmoid(score, temperature=1.0):
    return 1 / (1 + math.exp(-score / temperature))


@pytest.mark.parametrize('side', [32, 48, 128])
def test_rpns_are_compared_at_the_anchors_that_both_have(student_cfg, teacher_cfg, side):
    pair = pair_of(student_cfg, teacher_cfg)
    bbox = dict(BOUNDED, margin=float('inf'), loss_weight=1.0)
    distiller = RPNDistiller(pair, loss_cls=dict(SOFT, background_weight=1.5), loss_bbox=bbox)
    with observed(pair) as step:
        teacher = TeacherKnowledge(pair.teacher.detector, on_canvas(step.images, side))
        found = distiller(step.student, teacher, step.told(teacher))
        targets, deltas = step.student.rpn_targets, priors_of(step.student.rpn.bbox_preds, 4)
        ours, theirs = (priors_of(outputs.cls_scores, 1) for outputs in (step.student.rpn, teacher.rpn))
    sampled = compared = soft = error = beyond = 0
    weights = [each.flatten(0, 1) for each in (targets.label_weights, targets.bbox_weights[..., 0])]
    for prior, label, positive, target in zip(ours, *weights, targets.bbox_targets.flatten(0, 1), strict=True):
        sampled += float(label)
        beyond += float(positive) if prior not in theirs else 0
        if not label or prior not in theirs:
            continue
        compared += 1
        p_s, p_t = (sigmoid(scores[prior][0]) for scores in (ours, theirs))
        soft -= p_t * math.log(p_s) + 1.5 * (1 - p_t) * math.log(1 - p_s)
        error += float(positive) * sum((p - q) ** 2 for p, q in zip(deltas[prior], target.tolist(), strict=True))
    assert (0 < compared < sampled) if side < 64 else compared == sampled
    assert beyond > 0 or side != 32, 'a positive anchor was to lie where the teacher says nothing'
    assert found['cls'].item() == pytest.approx(soft / sampled, rel=1e-4)
    assert found['bbox'].item() == pytest.approx(error / sampled, rel=1e-4)


@pytest.mark.parametrize('priors', ['positive', 'all'])
@pytest.mark.parametrize('side', [48, 128])
def test_dense_heads_are_compared_at_the_priors_that_both_have(student_cfg, teacher_cfg, side, priors):
    loss = dict(type='SoftenedKLLoss', use_sigmoid=True, temperature=2.0)
    dense = {**DENSE, 'loss_cls': loss, 'priors': priors}
    detector = build(distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg), None, dense=dense))
    for head in (detector.bbox_head, detector.teacher.detector.bbox_head):
        torch.nn.init.normal_(head.retina_cls.weight, std=0.5, generator=torch.Generator().manual_seed(3))
    batch = detector.data_preprocessor(raw_batch((3, 2)), training=True)
    with observe_student(detector, ('dense', 'dense.labels')) as student, torch.no_grad():
        detector.bbox_head.loss(detector.extract_feat(batch['inputs']), batch['data_samples'])
        teacher = detector.teacher.knowledge_of(on_canvas(batch['inputs'], side))
        found = detector.distillers['dense'](student, teacher, step_of(batch, teacher))['cls']
        ours, theirs = (priors_of(side.dense.maps.scores, 3) for side in (student, teacher))
        labels = student.dense_assignment.labels.flatten().tolist()
    compared, expected = 0, 0.0
    for (prior, scores), label in zip(ours.items(), labels, strict=True):
        if prior not in theirs or (priors == 'positive' and not 0 <= label < 3):
            continue
        compared += 1
        for z_s, z_t in zip(scores, theirs[prior], strict=True):
            p_s, p_t = sigmoid(z_s, 2.0), sigmoid(z_t, 2.0)
            expected += 4 / 3 * (p_t * math.log(p_t / p_s) + (1 - p_t) * math.log((1 - p_t) / (1 - p_s)))
    positive = sum(0 <= label < 3 for label in labels)
    wanted = positive if priors == 'positive' else len(labels)
    assert (0 < compared < wanted) if side == 48 else compared == wanted
    assert found.item() == pytest.approx(expected / positive, rel=1e-4)


def adapted(distiller, feat):
    conv = distiller.adapters[0].conv
    return torch.einsum('oi,nihw->nohw', conv.weight[:, :, 0, 0], feat) + conv.bias[:, None, None]


CONV = dict(levels=(1,), teacher_levels=(2,), adapter=dict(type='ConvAdapter'))  # of strides 8 and 16


@pytest.mark.parametrize('side', [48, 128])
def test_maps_are_compared_where_both_show_the_picture(student_cfg, teacher_cfg, side):
    pair = pair_of(student_cfg, teacher_cfg)
    distiller = FeatureDistiller(pair, dict(type='HintLoss', loss_weight=1.0), **CONV)
    with observed(pair) as step:
        teacher = TeacherKnowledge(pair.teacher.detector, on_canvas(step.images, side))
        found = distiller(step.student, teacher, step.told(teacher))['feat']
        cells = min(side, 64) // 16
        feat_s, feat_t = step.student.features('neck')[1], teacher.features('neck')[2]
        feat_s, feat_t = feat_s[..., : 2 * cells, : 2 * cells], feat_t[..., :cells, :cells]
        expected = (to_grid(adapted(distiller, feat_s), (cells, cells)) - feat_t).square().mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize('ratios', [[[2.0, 2.0], [2.0, 2.0]], [[2.1, 1.8], [1.9, 2.2]]])
def test_a_map_of_a_smaller_picture_is_read_where_the_teachers_cells_lie(student_cfg, teacher_cfg, ratios):
    plain = pair_of(student_cfg, teacher_cfg)
    pair = ModelPair(plain.student, plain.teacher, student_scale=0.5)
    distiller = FeatureDistiller(pair, dict(type='HintLoss', loss_weight=1.0), **CONV)
    with observed(pair) as step:
        images = torch.randn(2, 3, 128, 96, generator=torch.Generator().manual_seed(0))  # not square
        teacher = TeacherKnowledge(pair.teacher.detector, images, torch.tensor(ratios))
        found = distiller(step.student, teacher, step.told(teacher))['feat']
        feat_s, feat_t = step.student.features('neck')[1], teacher.features('neck')[2]
        read = torch.zeros(2, feat_s.shape[1], *feat_t.shape[-2:])
        for image, (ratio_x, ratio_y) in enumerate(ratios):
            for y in range(feat_t.shape[2]):
                for x in range(feat_t.shape[3]):
                    # the centre of the teacher's cell, in the student's pixels, and then in its cells
                    at = ((x + 0.5) * 16 / ratio_x / 8 - 0.5, (y + 0.5) * 16 / ratio_y / 8 - 0.5)
                    read[image, :, y, x] = bilinear(feat_s[image], *at)
        expected = (adapted(distiller, read) - feat_t).square().mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_rpn_of_a_larger_picture_is_read_where_the_students_anchors_lie(student_cfg, teacher_cfg):
    """The teacher has strides twice the student's, so that its anchors cover the same regions of its picture."""
    teacher_cfg.model.neck.start_level = 1
    teacher_cfg.model.rpn_head.anchor_generator.strides = [8, 16, 32, 64, 128]
    plain = pair_of(student_cfg, teacher_cfg)
    pair = ModelPair(plain.student, plain.teacher, student_scale=0.5)
    bbox = dict(BOUNDED, margin=float('inf'), loss_weight=1.0)
    distiller = RPNDistiller(pair, loss_cls=dict(SOFT, background_weight=1.5), loss_bbox=bbox)
    ratios = [[2.1, 1.8], [1.9, 2.2]]
    with observed(pair) as step:
        images = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))  # not square, and less high
        teacher = TeacherKnowledge(pair.teacher.detector, images, torch.tensor(ratios))
        found = distiller(step.student, teacher, step.told(teacher))
        targets, ours = step.student.rpn_targets, priors_of(step.student.rpn.cls_scores, 1)
    sampled = compared = soft = 0
    for (prior, scores), label in zip(ours.items(), targets.label_weights.flatten().tolist(), strict=True):
        sampled += label
        image, level, y, x, anchor = prior
        theirs = teacher.rpn.cls_scores[level][image]
        # strides of 4 and 8: the anchor's place in the student's picture, in the teacher's, and in its cells
        across, down = (cell * 4 * ratio / 8 for cell, ratio in zip((x, y), ratios[image], strict=True))
        if not label or across > theirs.shape[2] - 0.5 or down > theirs.shape[1] - 0.5:
            continue
        compared += 1
        p_s, p_t = sigmoid(scores[0]), sigmoid(bilinear(theirs, across, down)[anchor].item())
        soft -= p_t * math.log(p_s) + 1.5 * (1 - p_t) * math.log(1 - p_s)
    assert 0 < compared < sampled
    assert found['cls'].item() == pytest.approx(soft / sampled, rel=1e-4)
