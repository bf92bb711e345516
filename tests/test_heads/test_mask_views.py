"""Each view of a mask head says what the head itself uses; the heads beside it have no masks."""

import pytest
import torch
import torch.nn.functional as F
from helpers.distil import build
from helpers.two_stage import (
    agnostic_masks,
    grid,
    htc,
    htc_semantic,
    mask_scoring,
    point_rend,
    scnet,
    spread_masks,
    step_of_own,
    two_pictures,
    with_masks,
)
from mmdet.models.roi_heads import mask_heads as mmdet_mask_heads
from mmdet.models.roi_heads.mask_heads import DynamicMaskHead, FCNMaskHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import nn

from mmdet_kd.heads import MaskView, find_view, known_heads
from mmdet_kd.knowledge import record_calls

MASK_HEADS = {'fcn': with_masks, 'agnostic': agnostic_masks, 'htc': htc, 'coarse': point_rend, 'scnet': scnet}
EVERY = pytest.mark.parametrize('name', MASK_HEADS)
#: What makes a detector with a head beside the masks, where it lies, and why it has none.
OTHERS = {
    'grid': (grid, 'grid_head', 'where the grid points'),
    'iou': (mask_scoring, 'mask_iou_head', 'how good a mask is'),
    'points': (point_rend, 'point_head', 'points that it draws anew'),
    'semantic': (htc_semantic, 'semantic_head', 'whole pictures'),
}


def mask_heads(detector):
    heads = detector.roi_head.mask_head
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def detector_of(cfg):
    """A detector whose mask heads say another thing of each class and place."""
    return spread_masks(build(cfg))


@EVERY
def test_masks_and_targets_are_what_the_heads_own_loss_is_given(student_cfg, name):
    """mmdet averages a cross entropy over the masks of the true classes."""
    detector = detector_of(MASK_HEADS[name](student_cfg))
    for head in mask_heads(detector):
        view = find_view(head, MaskView)
        assert view.why_not('masks') is view.why_not('targets') is None
        with (
            record_calls(view.points(view.questions)) as calls,
            record_calls({'loss': (head.loss_mask, 'forward')}) as given,
        ):
            step_of_own(detector, two_pictures())
        logits, targets, _, _ = view.masks(calls)
        (loss,) = given['loss']
        assert logits.shape == targets.shape
        assert len(logits) > 4
        assert torch.equal(targets, list(loss.arguments.values())[1])
        assert 0.1 < targets.mean() < 0.9
        assert len({float(row.detach().std()) for row in logits}) == len(logits)
        ours = F.binary_cross_entropy_with_logits(logits, targets)
        torch.testing.assert_close(ours, loss.result.squeeze() / head.loss_mask.loss_weight)


@EVERY
def test_the_mask_of_a_class_is_the_one_that_the_head_predicts(student_cfg, name):
    """Pasted by mmdet as the masks of a head that knows one class."""
    head = mask_heads(detector_of(MASK_HEADS[name](student_cfg)))[0]
    view, single = find_view(head, MaskView), FCNMaskHead(num_convs=0, class_agnostic=True, num_classes=3)
    generator = torch.Generator().manual_seed(0)
    masks = torch.randn(6, 1 if head.class_agnostic else 3, 7, 5, generator=generator)
    labels = torch.tensor([2, 0, 1, 1, 2, 0])
    corners = torch.rand(6, 2, generator=generator) * 20
    boxes = torch.cat([corners, corners + 12], dim=1)

    def pasted(by, given):
        found = InstanceData(bboxes=boxes.clone(), labels=labels)
        meta = dict(scale_factor=(1, 1), ori_shape=(40, 48), img_shape=(40, 48))
        return by.predict_by_feat([given], [found], [meta], ConfigDict(mask_thr_binary=0.5))[0].masks

    ours, theirs = pasted(single, view.select(masks, labels)[:, None]), pasted(head, masks)
    assert torch.equal(ours, theirs)
    assert theirs.flatten(1).any(dim=1).all()


@pytest.mark.parametrize('name', ['fcn', 'agnostic'])
def test_without_positive_rois_there_are_no_masks(student_cfg, name):
    detector = detector_of(MASK_HEADS[name](student_cfg))
    (head,) = mask_heads(detector)
    view = find_view(head, MaskView)
    with record_calls(view.points(view.questions)) as calls:
        step_of_own(detector, two_pictures((0, 0)))
    assert len(view.masks(calls).logits) == 0


@pytest.mark.parametrize('name', OTHERS)
def test_heads_beside_the_masks_have_none(student_cfg, name):
    change, part, reason = OTHERS[name]
    view = find_view(getattr(build(change(student_cfg), init=False).roi_head, part), MaskView)
    (problem,) = view.problems(view.questions, 'MaskDistiller', 'student')
    assert reason in problem


def test_every_mask_head_of_mmdet_is_known():
    """Answered or refused by a view of its class."""
    heads = [getattr(mmdet_mask_heads, name) for name in mmdet_mask_heads.__all__]
    assert len(heads) == 12
    assert [head for head in heads if head not in known_heads()] == []


def test_the_mask_head_of_queryinst_is_refused():
    head = DynamicMaskHead(
        num_convs=1,
        in_channels=8,
        conv_out_channels=8,
        dynamic_conv_cfg=dict(type='DynamicConv', in_channels=8, feat_channels=4, input_feat_shape=14),
        loss_mask=dict(type='DiceLoss', loss_weight=8.0, use_sigmoid=False, activate=False, eps=1e-5),
    )
    assert 'a feature of each learned proposal' in find_view(head, MaskView).why_not('masks')
