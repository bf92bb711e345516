"""What a head would train its priors towards if the true boxes were others: by its own rule, beside its own step."""

import pytest
import torch
from helpers.architectures import faster
from helpers.dense_heads import DENSE_HEADS, QUICK, detector_of, each, pictures, seen
from helpers.distil import build
from helpers.two_stage import RPN_HEADS, step_of_own, two_pictures
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData

from mmdet_kd.heads import DenseView, RPNView, find_view, known_heads
from mmdet_kd.knowledge import observe_student, record_calls

#: Of the tiny detectors, those whose heads assign by the boxes alone.
ASSIGNING = ('retinanet', 'ssd', 'fcos', 'gfl', 'atss', 'retina_sepbn', 'pisa_retina', 'pisa_ssd', 'sabl', 'yolact')
ASSIGNING += ('fcos_in_strides', 'nasfcos', 'vfnet', 'vfnet_as_fcos', 'vfnet_focal', 'fovea', 'fovea_deformed')
#: On two pictures of 64x96 pixels.
BOXES = [torch.tensor([[3.0, 5.0, 40.0, 30.0], [30.0, 8.0, 90.0, 60.0]]), torch.tensor([[10.0, 12.0, 31.0, 29.0]])]


def test_the_heads_that_answer_are_those_that_are_tried(student_cfg):
    """Nothing is asked of a head that was not held against its own step."""
    views = {head.__name__: view for head, view in known_heads().items() if issubclass(view, DenseView)}
    answering = {name for name, view in views.items() if 'assign' not in view.cannot}
    assert answering == {DENSE_HEADS[name](student_cfg).model.bbox_head.type for name in ASSIGNING}


def view_of(cfg):
    return find_view(build(cfg, init=False).bbox_head, DenseView)


@each(*ASSIGNING, quick=QUICK)
@pytest.mark.parametrize('counts', [(4, 2), pytest.param((0, 3), marks=pytest.mark.slow), (0, 0)])
def test_of_the_true_boxes_it_is_what_the_head_was_trained_towards(student_cfg, name, counts):
    detector = detector_of(DENSE_HEADS[name](student_cfg))
    with seen(detector, pictures(counts=counts), ('labels', 'positives', 'assign')) as step:
        calls = {point: len(of_point) for point, of_point in step.calls.items()}
        labels = step.view.assignment(step.calls).labels
        found = step.view.assign(step.calls, step.truth.boxes)
        again = step.view.assign(step.calls, step.truth.boxes)
        assert {point: len(of_point) for point, of_point in step.calls.items()} == calls  # nothing is recorded
        assert torch.equal(step.view.assignment(step.calls).labels, labels)
    assert torch.equal(found, (labels >= 0) & (labels < 3))
    assert torch.equal(found, again)
    assert found.any() == (sum(counts) > 0)


@each(*ASSIGNING, quick=('retinanet', 'fcos', 'gfl'))
def test_of_other_boxes_it_is_what_a_step_with_these_boxes_trains(student_cfg, name):
    """The classes and what is to be ignored play no part."""
    detector = detector_of(DENSE_HEADS[name](student_cfg))
    with seen(detector, pictures(), ('assign',)) as step:
        found = step.view.assign(step.calls, BOXES)
        own = step.view.assign(step.calls, step.truth.boxes)
    others = pictures(counts=(2, 1))
    for sample, boxes in zip(others['data_samples'], BOXES, strict=True):
        sample.gt_instances.bboxes = boxes
    with seen(detector, others, ('labels',)) as step:
        labels = step.view.assignment(step.calls).labels
    assert torch.equal(found, (labels >= 0) & (labels < 3))
    assert not torch.equal(found, own)


@pytest.mark.parametrize('border', [-1, 0])
def test_anchors_beyond_the_border_and_in_the_padding_are_left_out_as_in_the_heads_own_step(student_cfg, border):
    """Of a batch whose second picture is smaller than the canvas."""
    cfg = DENSE_HEADS['retinanet'](student_cfg)
    cfg.model.train_cfg.allowed_border = border
    detector = detector_of(cfg)
    batch = pictures(size=(64, 96), counts=(2, 2))
    batch['inputs'][1] = batch['inputs'][1][:, :, :64]
    batch['data_samples'][1].set_metainfo(dict(img_shape=(64, 64), ori_shape=(64, 64)))
    for sample in batch['data_samples']:
        sample.gt_instances.bboxes = torch.tensor([[36.0, 10.0, 63.0, 60.0], [60.0, 8.0, 94.0, 44.0]])
    with seen(detector, batch, ('labels', 'assign')) as step:
        labels = step.view.assignment(step.calls).labels
        found = step.view.assign(step.calls, step.truth.boxes)
        anchors = step.predictions.priors.places
    assert torch.equal(found, (labels >= 0) & (labels < 3))
    assert found[1, (anchors < 0).any(dim=1) | (anchors[:, 2:] >= 64).any(dim=1)].any() == (border == -1)
    in_padding = anchors[:, :2].add(anchors[:, 2:])[:, 0] / 2 >= 64
    assert found[0, in_padding].any()
    assert not found[1, in_padding].any()
    assert found[1].any()


def test_true_boxes_that_are_to_be_ignored_do_not_count(student_cfg):
    """The instances of a teacher may be crowds."""
    cfg = DENSE_HEADS['retinanet'](student_cfg)
    cfg.model.train_cfg.assigner.ignore_iof_thr = 0.5
    detector = detector_of(cfg)
    batch = pictures()
    with seen(detector, batch, ('assign',)) as step:
        expected = step.view.assign(step.calls, BOXES)
    for sample in batch['data_samples']:
        sample.ignored_instances = InstanceData(bboxes=torch.tensor([[0.0, 0, 96, 64]]), labels=torch.tensor([0]))
    with seen(detector, batch, ('labels', 'assign')) as step:
        assert torch.equal(step.view.assign(step.calls, BOXES), expected)
        assert not step.view.assignment(step.calls).label_weights.all()


RPNS = ('sigmoid', 'softmax', 'two_scales', 'decoded')


@pytest.mark.parametrize('name', [n if n in RPNS[:2] else pytest.param(n, marks=pytest.mark.slow) for n in RPNS])
def test_of_an_rpn_it_is_all_that_its_assigner_finds(student_cfg, name):
    """By plain overlaps; a step trains a sample of these. The student's random numbers stay as they are."""
    cfg = RPN_HEADS[name](student_cfg)
    detector = build(cfg)
    with observe_student(detector, ['rpn']) as student:
        step_of_own(detector, two_pictures())
        state = torch.random.get_rng_state()
        found = student.rpn_assigned(BOXES)
        truth = [sample.gt_instances.bboxes for sample in two_pictures()['data_samples']]
        own = student.rpn_assigned(truth)
        assert torch.equal(torch.random.get_rng_state(), state)
        targets = student.rpn_targets
    assigner = cfg.model.train_cfg.rpn.assigner
    for boxes, row in zip(BOXES, found, strict=True):
        overlaps = bbox_overlaps(boxes, targets.anchors)
        positive = overlaps.amax(dim=0) >= assigner.pos_iou_thr
        best = overlaps.amax(dim=1, keepdim=True)
        positive |= ((overlaps == best) & (best >= assigner.min_pos_iou)).any(dim=0)
        assert positive.any()
        assert torch.equal(row, positive)
    sampled = targets.bbox_weights[..., 0] > 0
    assert sampled.any()
    assert not (sampled & ~own).any()


def test_heads_that_assign_by_more_than_boxes_have_a_reason(student_cfg):
    for name in ('tood', 'paa', 'ddod', 'yolof', 'yolox', 'rtmdet', 'reppoints'):
        assert (
            view_of(DENSE_HEADS[name](student_cfg)).why_not('assign')
            == 'it assigns priors by what it predicts for them'
        )
    head = build(faster(student_cfg), init=False).rpn_head
    assert find_view(head, RPNView).why_not('assign') is None


def test_a_copy_is_asked_so_that_the_heads_own_sampler_is_not(student_cfg):
    detector = detector_of(DENSE_HEADS['retinanet'](student_cfg))
    head = detector.bbox_head
    with seen(detector, pictures(), ('assign',)) as step, record_calls({'sample': (head.sampler, 'sample')}) as calls:
        sampler = head.sampler
        step.view.assign(step.calls, BOXES)
        assert head.sampler is sampler
        assert len(calls['sample']) == 0
