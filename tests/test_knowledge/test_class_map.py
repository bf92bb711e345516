"""A head of classes a, b, c, d, asked for d and b."""

import torch

from mmdet_kd.knowledge import ClassMap, RoIOutputs

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
