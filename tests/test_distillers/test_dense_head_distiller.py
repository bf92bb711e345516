"""What the distiller of a dense head compares, against sums over single priors."""

import math

import pytest
import torch
from helpers.distil import DENSE, build, distilled_cfg, raw_batch, save_teacher, step_of
from helpers.one_stage import ONE_STAGE, atss, gfl, retinanet, ssd

from mmdet_kd.knowledge import observe_student


def kl(s, t, temperature):
    """Of two lists of sigmoids, the mean over the classes."""
    total = 0.0
    for z_s, z_t in zip(s, t, strict=True):
        p_s, p_t = (1 / (1 + math.exp(-z / temperature)) for z in (z_s, z_t))
        total += p_t * math.log(p_t / p_s) + (1 - p_t) * math.log((1 - p_t) / (1 - p_s))
    return temperature**2 * total / len(s)


def scores_at(maps, classes=3):
    """Scores of each prior of the first picture, in the order of the cells: row by row, anchor by anchor."""
    found = []
    for level in maps:
        _, channels, height, width = level.shape
        for y in range(height):
            for x in range(width):
                for anchor in range(channels // classes):
                    found.append(level[0, anchor * classes : (anchor + 1) * classes, y, x].tolist())
    return found


@pytest.mark.parametrize('priors', ['positive', 'all'])
def test_the_sum_over_priors_by_hand(student_cfg, teacher_cfg, priors):
    loss = dict(type='SoftenedKLLoss', use_sigmoid=True, temperature=2.0)
    cfg = distilled_cfg(
        retinanet(student_cfg), retinanet(teacher_cfg), None, dense={**DENSE, 'loss_cls': loss, 'priors': priors}
    )
    detector = build(cfg)
    for head in (detector.bbox_head, detector.teacher.detector.bbox_head):
        torch.nn.init.normal_(head.retina_cls.weight, std=0.5, generator=torch.Generator().manual_seed(3))
    batch = detector.data_preprocessor(raw_batch((2,)), training=True)
    with observe_student(detector, ('dense', 'dense.labels')) as student, torch.no_grad():
        detector.bbox_head.loss(detector.extract_feat(batch['inputs']), batch['data_samples'])
        teacher = detector.teacher.knowledge_of(batch['inputs'])
        found = detector.distillers['dense'](student, teacher, step_of(batch, teacher))['cls']
        labels = student.dense_assignment.labels[0].tolist()
        rows = list(zip(*(scores_at(side.dense.maps.scores) for side in (student, teacher)), labels, strict=True))
    positive = sum(0 <= label < 3 for label in labels)
    assert positive > 0
    expected = sum(kl(s, t, 2.0) for s, t, label in rows if priors == 'all' or 0 <= label < 3) / positive
    assert found.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('name', ONE_STAGE)
def test_the_labels_are_those_of_the_priors(student_cfg, teacher_cfg, name):
    """Where a prior is positive, it has the label of a box that reaches it."""
    cfg = distilled_cfg(ONE_STAGE[name](student_cfg), ONE_STAGE[name](teacher_cfg), None, hint=dict(
        type='FeatureDistiller', adapter=dict(type='ConvAdapter'), loss=dict(type='HintLoss')))  # fmt: skip
    detector = build(cfg)
    batch = detector.data_preprocessor(raw_batch((1, 1)), training=True)
    with observe_student(detector, ('dense', 'dense.labels')) as student, torch.no_grad():
        detector.bbox_head.loss(detector.extract_feat(batch['inputs']), batch['data_samples'])
        labels, scores = student.dense_assignment.labels, student.dense.maps.scores
    priors = sum(m[0, 0].numel() for m in scores) * detector.bbox_head.prior_generator.num_base_priors[0]
    assert labels.shape == (2, priors)
    for row, sample in zip(labels, batch['data_samples'], strict=True):
        found = set(row[(row >= 0) & (row < 3)].tolist())
        assert found == set(sample.gt_instances.labels.tolist())


@pytest.mark.parametrize('family', [retinanet, ssd])
def test_the_students_classes_are_found_by_name(student_cfg, teacher_cfg, tmp_path, family):
    """The teacher knows more, in another order; of a softmax, what the student does not know is background."""
    names = ('star', 'triangle', 'circle', 'moon', 'square')
    teacher = family(teacher_cfg)
    teacher.model.bbox_head.num_classes = 5
    softmax = family is ssd
    loss = dict(type='SoftenedKLLoss', use_sigmoid=not softmax)
    dense = {**DENSE, 'loss_cls': loss, 'priors': 'all'}
    checkpoint = save_teacher(teacher, tmp_path / 'teacher.pth', dataset_meta={'classes': names})
    cfg = distilled_cfg(family(student_cfg), teacher, checkpoint, dense=dense)
    cfg.model.teacher.classes_by_name = True
    detector = build(cfg)
    batch = detector.data_preprocessor(raw_batch((2,)), training=True)
    with observe_student(detector, ('dense', 'dense.labels')) as student, torch.no_grad():
        detector.bbox_head.loss(detector.extract_feat(batch['inputs']), batch['data_samples'])
        teacher = detector.teacher.knowledge_of(batch['inputs'])
        found = detector.distillers['dense'](student, teacher, step_of(batch, teacher))['cls']
        raw = detector.teacher.detector.bbox_head(teacher.features('neck'))[0]
        rows = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, 5 + softmax) for level in raw])
        wanted = [names.index(name) for name in ('circle', 'square', 'triangle')]
        expected = rows[:, wanted]
        if softmax:
            others = rows[:, [0, 3, 5]].exp().sum(dim=1, keepdim=True).log()
            expected = torch.cat([expected, others], dim=1)
        positive = (student.dense_assignment.labels < 3).sum()
        loss = detector.distillers['dense'].loss_cls
        asked = loss(student.dense.scores.flatten(0, 1), expected, torch.ones(len(rows)), avg_factor=positive)
    assert teacher.dense.scores.shape[-1] == 3 + softmax
    torch.testing.assert_close(found, asked)


@pytest.mark.parametrize(('student', 'teacher'), [(atss, gfl), (gfl, atss), (atss, atss), (gfl, gfl)])
def test_heads_that_rank_boxes_unlike_are_warned_of(student_cfg, teacher_cfg, warned, student, teacher):
    """ATSS multiplies class scores by a centerness when it predicts, GFL has none."""
    build(distilled_cfg(student(student_cfg), teacher(teacher_cfg), None, dense=DENSE))
    found = [line for line in warned if 'multiplies class scores by the quality' in line]
    assert len(found) == (student is not teacher)
    if found:
        side, other = ('student', 'teacher') if student is atss else ('teacher', 'student')
        assert f"the {side}'s ATSSHead multiplies" in found[0]
        assert f"the {other}'s GFLHead does not" in found[0]
