"""A head of classes a, b, c, d, asked for d and b; and how many classes heads know."""

import pytest
import torch
from helpers.architectures import cascade
from helpers.classifier import classifier_of
from helpers.one_stage import retinanet
from mmdet.registry import MODELS

from mmdet_kd.knowledge import ClassMap, RoIOutputs, head_classes, on_meta

MAP = ClassMap([3, 1], num_classes=4)


def test_probabilities_stay_and_the_rest_is_background():
    scores = torch.randn(6, 5)
    mapped = MAP(RoIOutputs(scores, torch.zeros(6, 16)))
    before, after = scores.softmax(dim=1), mapped.cls_score.softmax(dim=1)
    assert after.shape == (6, 3)
    torch.testing.assert_close(after[:, 0], before[:, 3])
    torch.testing.assert_close(after[:, 1], before[:, 1])
    torch.testing.assert_close(after[:, 2], before[:, 0] + before[:, 2] + before[:, 4])


def test_sigmoids_of_other_classes_are_dropped():
    scores = torch.randn(6, 4)
    assert torch.equal(MAP(RoIOutputs(scores, torch.zeros(6, 4))).cls_score, scores[:, [3, 1]])


def test_deltas_of_a_class_go_with_it():
    deltas = torch.arange(2 * 16.0).view(2, 16)
    mapped = MAP(RoIOutputs(torch.zeros(2, 5), deltas)).bbox_pred
    assert mapped.tolist() == [[12, 13, 14, 15, 4, 5, 6, 7], [28, 29, 30, 31, 20, 21, 22, 23]]
    agnostic = torch.randn(2, 4)
    assert torch.equal(MAP(RoIOutputs(torch.zeros(2, 5), agnostic)).bbox_pred, agnostic)


def test_half_precision_keeps_its_type():
    mapped = MAP(RoIOutputs(torch.randn(2, 5).half(), torch.zeros(2, 16).half()))
    assert mapped.cls_score.dtype == mapped.bbox_pred.dtype == torch.half


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (lambda cfg: cfg, {'roi_head.bbox_head': 3}),
        (cascade, {f'roi_head.bbox_head.{stage}': 3 for stage in range(3)}),
        (retinanet, {'bbox_head': 3}),
    ],
)
def test_how_many_classes_the_heads_know(student_cfg, change, expected):
    assert head_classes(on_meta(lambda: MODELS.build(change(student_cfg).model))) == expected


def test_how_many_a_classifier_knows(student_cfg):
    assert head_classes(MODELS.build(classifier_of(student_cfg)['model'])) == {'CropClassifier': 3}


def test_a_network_without_heads_knows_none(student_cfg):
    assert head_classes(on_meta(lambda: MODELS.build(student_cfg.model.backbone))) == {}
