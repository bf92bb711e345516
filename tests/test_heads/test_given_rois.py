"""One stage of a RoI head on given RoIs; pins the private method of mmdet that is named for it."""

import inspect

import pytest
import torch
from helpers.architectures import cascade, double_head, faster, mask
from helpers.distil import build
from mmdet.models.roi_heads import CascadeRoIHead, DoubleHeadRoIHead, StandardRoIHead
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData

from mmdet_kd.heads import RoIView, box_heads, find_view

BOXES = [torch.tensor([[2.0, 3, 40, 50], [10, 10, 30, 20]]), torch.tensor([[0.0, 0, 63, 63]])]


@pytest.mark.parametrize(
    ('roi_head', 'expected'),
    [
        (StandardRoIHead, ['self', 'x', 'rois']),
        (DoubleHeadRoIHead, ['self', 'x', 'rois']),
        (CascadeRoIHead, ['self', 'stage', 'x', 'rois']),
    ],
)
def test_mmdet_still_has_the_private_method(roi_head, expected):
    assert list(inspect.signature(roi_head._bbox_forward).parameters) == expected


def maps_of(detector):
    return detector.extract_feat(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize('architecture', [faster, mask, double_head])
def test_scores_are_those_of_the_public_forward(architecture, student_cfg):
    detector = build(architecture(student_cfg)).eval()
    with torch.no_grad():
        feats = maps_of(detector)
        outputs = find_view(detector.roi_head, RoIView).of_rois(0, feats, bbox2roi(BOXES))
        public = detector.roi_head.forward(feats, [InstanceData(bboxes=boxes) for boxes in BOXES])
    assert outputs.cls_score.shape == (3, 4)
    assert torch.equal(outputs.cls_score, public[0])
    assert torch.equal(outputs.bbox_pred, public[1])


def test_each_stage_of_a_cascade_is_its_own_head(student_cfg):
    detector = build(cascade(student_cfg)).eval()
    heads = box_heads(detector.roi_head)
    assert len(heads) == 3
    with torch.no_grad():
        feats, rois = maps_of(detector), bbox2roi(BOXES)
        for stage, head in enumerate(heads):
            pooled = detector.roi_head.bbox_roi_extractor[stage](feats[:4], rois)
            cls_score, bbox_pred = head(pooled)
            outputs = find_view(detector.roi_head, RoIView).of_rois(stage, feats, rois)
            assert torch.equal(outputs.cls_score, cls_score)
            assert torch.equal(outputs.bbox_pred, bbox_pred)


def test_box_heads_without_a_cascade(student_cfg):
    detector = build(student_cfg)
    assert box_heads(detector.roi_head) == [detector.roi_head.bbox_head]
