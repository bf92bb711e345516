"""The student's knowledge is what its own loss() computed."""

import copy
import gc
import weakref

import pytest
import torch
from helpers.architectures import cascade, decoded, faster, softmax_rpn
from helpers.distil import build, raw_batch
from mmdet.structures.bbox import get_box_tensor

from mmdet_kd.knowledge import observe_student

#: What a two-stage detector knows.
KINDS = ('backbone', 'neck', 'rpn', 'roi')


def observed_step(detector, kinds=KINDS, batch=None):
    """A context in which the student's loss ran, and the batch that it ran on."""
    data = detector.data_preprocessor(copy.deepcopy(batch or raw_batch()), training=True)
    return (data['inputs'], data['data_samples']), observe_student(detector, kinds)


def test_features_are_those_that_the_detector_used(student_cfg):
    detector = build(student_cfg)
    data, observing = observed_step(detector)
    with observing as student:
        detector.loss(*data)
        backbone, neck = student.features('backbone'), student.features('neck')
        assert [tuple(m.shape[1:]) for m in backbone] == [(8, 16, 16), (16, 8, 8), (32, 4, 4), (64, 2, 2)]
        assert [tuple(m.shape[1:]) for m in neck] == [(16, 64 // s, 64 // s) for s in (4, 8, 16, 32, 64)]
        assert all(m.grad_fn is not None for m in (*backbone, *neck))
        rpn = student.rpn
    scores, deltas = detector.rpn_head(neck)
    assert all(torch.equal(a, b) for a, b in zip((*scores, *deltas), (*rpn.cls_scores, *rpn.bbox_preds), strict=True))


def test_only_the_kinds_asked_for_are_recorded(student_cfg):
    detector = build(student_cfg)
    data, observing = observed_step(detector, kinds=('neck',))
    with observing as student:
        detector.loss(*data)
        assert 'forward' not in detector.rpn_head.__dict__
        assert len(student.features('neck')) == 5
        with pytest.raises(KeyError):
            student.features('backbone')


@pytest.mark.parametrize('architecture', [faster, softmax_rpn, cascade])
def test_rpn_targets_decode_to_ground_truth(architecture, student_cfg):
    """On a positive anchor, the target decoded from that anchor is a box of its own image."""
    detector = build(architecture(student_cfg))
    data, observing = observed_step(detector)
    truth = [sample.gt_instances.bboxes.clone() for sample in data[1]]
    with observing as student:
        detector.loss(*data)
        targets, outputs = student.rpn_targets, student.rpn
    anchors = sum(m.shape[-1] * m.shape[-2] * 3 for m in outputs.cls_scores)
    assert targets.anchors.shape == (anchors, 4)
    assert targets.label_weights.shape == (2, anchors)
    assert targets.bbox_targets.shape == targets.bbox_weights.shape == (2, anchors, 4)
    assert targets.avg_factor == (targets.label_weights > 0).sum() == 2 * 32
    for image, boxes in enumerate(truth):
        positive = targets.bbox_weights[image, :, 0] > 0
        assert positive.any()
        assert (targets.label_weights[image][positive] == 1).all()
        coder = detector.rpn_head.bbox_coder
        found = get_box_tensor(coder.decode(targets.anchors[positive], targets.bbox_targets[image][positive]))
        distance = torch.cdist(found, boxes, p=1)
        assert distance.min(dim=1).values.max() < 1e-3
        assert set(distance.argmin(dim=1).tolist()) == set(range(len(boxes))), 'each box has an anchor of its own'


def test_rpn_targets_of_decoded_regression_are_the_boxes(student_cfg):
    detector = build(decoded(student_cfg))
    data, observing = observed_step(detector)
    boxes = data[1][0].gt_instances.bboxes.clone()
    with observing as student:
        detector.loss(*data)
        targets = student.rpn_targets
    positive = targets.bbox_weights[0, :, 0] > 0
    assert torch.cdist(targets.bbox_targets[0][positive], boxes, p=1).min(dim=1).values.max() == 0


@pytest.mark.parametrize(('architecture', 'stages'), [(faster, 1), (cascade, 3)])
def test_roi_stages(architecture, stages, student_cfg):
    detector = build(architecture(student_cfg))
    data, observing = observed_step(detector)
    truth = [(s.gt_instances.bboxes.clone(), s.gt_instances.labels.clone()) for s in data[1]]
    with observing as student:
        detector.loss(*data)
        found = list(student.roi_stages())
    assert len(found) == stages
    heads = [detector.roi_head.bbox_head] if stages == 1 else detector.roi_head.bbox_head
    assert [stage for stage, _, _ in found] == list(range(stages))
    for head, (_, outputs, targets) in zip(heads, found, strict=True):
        n = len(targets.rois)
        assert targets.rois.shape == (n, 5)
        assert outputs.cls_score.shape == (n, 4)
        assert outputs.bbox_pred.shape == (n, 4 if stages == 3 else 12)
        positive = targets.labels < 3
        assert torch.equal(targets.bbox_weights[:, 0] > 0, positive)
        assert positive.any()
        boxes = get_box_tensor(head.bbox_coder.decode(targets.rois[positive, 1:], targets.bbox_targets[positive]))
        for roi, box, label in zip(targets.rois[positive], boxes, targets.labels[positive], strict=True):
            gt_boxes, gt_labels = truth[int(roi[0])]
            nearest = (gt_boxes - box).abs().sum(1).argmin()
            torch.testing.assert_close(gt_boxes[nearest], box, rtol=1e-3, atol=1e-2)
            assert gt_labels[nearest] == label


def levels(loss):
    """A loss, or one a level, as numbers."""
    return [float(level.detach()) for level in (loss if isinstance(loss, list) else [loss])]


@pytest.mark.parametrize('boxes', [(0, 0), (0, 3)])
def test_images_without_ground_truth(boxes, student_cfg):
    detector = build(student_cfg)
    data, observing = observed_step(detector, batch=raw_batch(boxes))
    with observing as student:
        detector.loss(*data)
        assert (student.rpn_targets.bbox_weights[0] == 0).all()
        ((_, _, targets),) = student.roi_stages()
    assert ((targets.labels == 3) | (targets.rois[:, 0] == 1)).all()


def test_the_students_losses_are_the_same_when_observed(student_cfg):
    """Observing changes no number, and draws none."""
    detector = build(student_cfg)
    data, _ = observed_step(detector)
    results = []
    for kinds in ((), KINDS):
        torch.manual_seed(0)
        with observe_student(detector, kinds):
            results.append(detector.loss(data[0], copy.deepcopy(data[1])))
    for name, loss in results[0].items():
        assert levels(loss) == levels(results[1][name]), name


def test_everything_is_let_go_after_the_step(student_cfg):
    """The knowledge itself may live on; the tensors, and the graph behind them, do not."""
    detector = build(student_cfg)
    data, observing = observed_step(detector)
    with observing as student:
        losses = detector.loss(*data)
        maps = [weakref.ref(m) for m in (*student.features('backbone'), *student.features('neck'))]
        rois = [weakref.ref(outputs.cls_score) for _, outputs, _ in student.roi_stages()]
        rpn = weakref.ref(student.rpn.cls_scores[0])
    del losses, data
    gc.collect()
    assert [ref() for ref in (*maps, *rois, rpn)] == [None] * (len(maps) + len(rois) + 1)
    for part in (detector.backbone, detector.neck, detector.rpn_head, detector.roi_head.bbox_head):
        assert not {'forward', 'get_targets', 'loss_and_target'} & set(part.__dict__)


def test_a_point_that_ran_twice_is_an_error(student_cfg):
    detector = build(student_cfg)
    data, observing = observed_step(detector)
    with observing as student:
        detector.loss(data[0], copy.deepcopy(data[1]))
        detector.loss(*data)
        with pytest.raises(RuntimeError, match='neck ran 2 times'):
            student.features('neck')
