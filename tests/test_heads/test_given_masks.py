"""The mask branch of a RoI head: what it was trained on, and what it says of given RoIs, as in mmdet's own step."""

import copy
import inspect

import pytest
import torch
from helpers.architectures import c4, cascade, faster, ohem
from helpers.distil import build
from helpers.two_stage import (
    ROI_HEADS,
    after,
    agnostic_masks,
    dynamic,
    grid,
    htc,
    htc_semantic,
    mask_scoring,
    pisa,
    point_rend,
    scnet,
    spread_masks,
    step_of_own,
    two_pictures,
    with_masks,
)
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead

from mmdet_kd.heads import RoIView, find_view
from mmdet_kd.knowledge import mask_heads, mask_sizes, observe_student, record_calls


def cascade_masks(cfg):
    """Cascade Mask R-CNN, whose stages have masks of two sizes."""
    cfg = with_masks(cascade(cfg))
    head = cfg.model.roi_head.mask_head
    cfg.model.roi_head.mask_head = [copy.deepcopy(head) for _ in range(3)]
    cfg.model.roi_head.mask_head[2].upsample_cfg = dict(type='bilinear', scale_factor=3)
    cfg.model.train_cfg.rcnn[2].mask_size = 15
    return cfg


def shared(cfg):
    """Mask R-CNN without a neck: both branches read what one stage of a ResNet makes of a RoI."""
    cfg = c4(cfg)
    model = cfg.model
    model.backbone.base_channels = 64
    model.rpn_head.update(in_channels=1024, feat_channels=8)
    roi_head = model.roi_head
    roi_head.shared_head = dict(type='ResLayer', depth=50, stage=3, stride=2, style='pytorch')
    roi_head.bbox_roi_extractor.update(out_channels=1024)
    roi_head.bbox_roi_extractor.roi_layer.output_size = 6
    roi_head.bbox_head.update(in_channels=2048, roi_feat_size=3)
    roi_head.mask_head = dict(
        type='FCNMaskHead', num_convs=0, in_channels=2048, conv_out_channels=8, num_classes=3, loss_mask=_LOSS
    )
    model.type = 'MaskRCNN'
    model.train_cfg.rcnn.mask_size = 6
    return cfg


_LOSS = dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0)
#: Name -> what makes the config of the tiny student one with masks.
MASKS = {
    'fcn': with_masks,
    'agnostic': agnostic_masks,
    'cascade': cascade_masks,
    'htc': htc,
    'coarse': point_rend,
    'mask_scoring': mask_scoring,
    'double': after(with_masks, ROI_HEADS['double']),
    'dynamic': after(with_masks, dynamic),
    'pisa': after(with_masks, pisa),
    'ohem': after(with_masks, ohem),
    'grid': after(with_masks, grid),
    'trident': after(with_masks, ROI_HEADS['trident']),
    'shared': shared,
}
QUICK = ('cascade',)


@pytest.mark.parametrize(
    'name', [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MASKS]
)
def test_of_its_rois_it_says_what_the_step_says(student_cfg, name):
    detector = spread_masks(build(MASKS[name](student_cfg)))
    detector.roi_head.eval()  # it says the same when it is asked again
    view, heads = find_view(detector.roi_head, RoIView), mask_heads(detector.roi_head)
    assert view.why_not('masks') is view.why_not('given masks') is None
    source = 'neck' if detector.with_neck else 'backbone'
    points = {str(stage): (head, 'loss_and_target') for stage, head in enumerate(heads)}
    with observe_student(detector, ['roi.masks', source]) as student, record_calls(points) as calls:
        step_of_own(detector, two_pictures())
        maps, stages = student.features(source), list(student.roi_masks())
    assert [stage for stage, _ in stages] == list(range(len(heads)))
    for stage, masks in stages:
        (call,) = calls[str(stage)]
        own, sampled = call.arguments['mask_preds'], call.arguments['sampling_results']
        rois = [[i, *box.tolist()] for i, result in enumerate(sampled) for box in result.pos_priors]
        labels = [int(label) for result in sampled for label in result.pos_gt_labels]
        assert masks.rois.tolist() == rois
        assert masks.labels.tolist() == labels
        assert {roi[0] for roi in rois} == {0, 1}
        channels = [0 if heads[stage].class_agnostic else label for label in labels]
        assert torch.equal(masks.logits, torch.stack([row[c] for row, c in zip(own, channels, strict=True)]))
        with torch.no_grad():
            found = view.masks_of_rois(stage, maps, masks.rois)
        torch.testing.assert_close(found, own.detach())
        assert found.std() > 1e-3
        assert mask_sizes(detector.roi_head)[stage] == found.shape[-2:]


def test_nothing_of_the_boxes_is_recorded_for_masks_nor_of_the_masks_for_boxes(student_cfg):
    view = find_view(build(with_masks(student_cfg), init=False).roi_head, RoIView)
    assert list(view.points(['masks'])) == ['0.mask.loss_and_target']
    assert list(view.points(['roi'])) == ['0.loss', '0.get_targets']


OF_STAGE = ['self', 'stage', 'x', 'rois']
OF_ALL = ['self', 'x', 'rois', 'pos_inds', 'bbox_feats']


@pytest.mark.parametrize(('roi_head', 'expected'), [(StandardRoIHead, OF_ALL), (CascadeRoIHead, OF_STAGE)])
def test_mmdet_still_has_the_private_method(roi_head, expected):
    assert list(inspect.signature(roi_head._mask_forward).parameters) == expected


def test_a_stage_that_did_not_run_has_no_masks_and_a_step_without_any_is_an_error(student_cfg):
    detector = build(cascade_masks(student_cfg))
    with observe_student(detector, ['roi.masks']) as student:
        step_of_own(detector, two_pictures())
        student._calls['roi.1.mask.loss_and_target'].clear()
        assert [stage for stage, _ in student.roi_masks()] == [0, 2]
        for calls in student._calls.values():
            calls.clear()
        with pytest.raises(RuntimeError, match='no mask head of the CascadeRoIHead computed its loss'):
            list(student.roi_masks())


# What is refused.


class RefinedRoIHead(StandardRoIHead):
    """Its masks are not what its mask head says."""

    def _mask_forward(self, *args, **kwargs):
        return {'mask_preds': super()._mask_forward(*args, **kwargs)['mask_preds'].relu()}


REFUSED = {
    'no branch': (faster, ('masks', 'given masks'), 'it has no mask branch'),
    'scnet': (scnet, ('masks', 'given masks'), 'one mask head serves all its stages'),
    'htc_semantic': (htc_semantic, ('given masks',), 'its mask heads also read a semantic branch'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_masks_that_are_not_answered_have_a_reason(student_cfg, name):
    change, questions, reason = REFUSED[name]
    cfg = change(student_cfg)
    if name == 'htc_semantic':
        cfg.model.roi_head.semantic_fusion = ('mask',)
    view = find_view(build(cfg, init=False).roi_head, RoIView)
    assert [question for question in ('masks', 'given masks') if view.why_not(question)] == list(questions)
    assert all(reason in view.why_not(question) for question in questions)
    (problem,) = view.problems(questions, 'MaskDistiller', 'teacher')
    assert reason in problem
    assert view.why_not('scores') is None


def test_a_roi_head_that_makes_its_masks_in_another_way_still_answers_of_its_boxes(student_cfg):
    detector = build(with_masks(student_cfg), init=False)
    detector.roi_head.__class__ = RefinedRoIHead
    view = find_view(detector.roi_head, RoIView)
    assert view.why_not('masks') == view.why_not('given masks') == 'it overrides _mask_forward of StandardRoIHead'
    assert view.why_not('scores') is None


def test_each_mask_head_that_is_not_known_is_named_with_its_stage(student_cfg):
    detector = build(cascade_masks(student_cfg), init=False)

    class Other(type(detector.roi_head.mask_head[1])):
        def get_targets(self, *args, **kwargs):
            return super().get_targets(*args, **kwargs)

    detector.roi_head.mask_head[1].__class__ = Other
    (problem,) = find_view(detector.roi_head, RoIView).problems(('masks', 'given masks'), 'MaskDistiller', 'student')
    assert 'Other (stage 1) does not say a mask of each RoI: it overrides get_targets of FCNMaskHead' in problem
