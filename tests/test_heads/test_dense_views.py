"""Each view of a dense head says what the head itself uses: two tests a head, and what is refused."""

import pytest
import torch
from helpers.anchor_heads import SILENT_ON_LABELS as SILENT
from helpers.dense_heads import (
    DENSE_HEADS,
    detector_of,
    each,
    given_to_the_loss,
    pictures,
    predicted_boxes,
    seen,
)
from helpers.distil import build
from helpers.point_heads import POINT_HEADS, classified

from mmdet_kd.heads import DensePredictions, DenseView, find_view

EVERY = each(*DENSE_HEADS)
GIVES_PROBABILITIES = ('tood', 'tood_at_first')
#: Their positive priors may have another label, or none.
UNLIKE_LABELS = ('ddod', 'yolof', 'centernet_update')
#: Their loss weighs the labels once more.
REWEIGHED = ('pisa_retina', 'pisa_ssd')


def keyed(rows, labels, seed=0):
    """Rows with their labels in an order that depends on the numbers alone."""
    rows = torch.cat([rows.detach().double(), labels.double()[:, None]], dim=1)
    weights = torch.rand(rows.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.5
    return rows[(rows @ weights).argsort()]


@each(*(name for name in DENSE_HEADS if name not in SILENT and name != 'fsaf'))  # FSAF chooses after its loss
def test_scores_and_labels_are_what_the_heads_own_loss_is_given(student_cfg, name):
    detector = detector_of(DENSE_HEADS[name](student_cfg))
    with seen(detector, pictures(), ('labels',)) as step:
        labels, weights = step.view.assignment(step.calls)
        scores = step.predictions.scores.flatten(0, 1)
        scores = scores.sigmoid() if name in GIVES_PROBABILITIES else scores
        rows, their_labels, their_weights = (name in POINT_HEADS and classified(step)) or given_to_the_loss(step.losses)
    if name in POINT_HEADS:  # some give their loss the priors alone that count
        judged = slice(None) if len(their_labels) == labels.numel() else weights.flatten() > 0
        scores, labels_of_rows = scores[judged], labels.flatten()[judged]
    else:
        labels_of_rows = labels.flatten()
        if name not in REWEIGHED:
            scores, rows = (
                torch.cat([scores, weights.view(-1, 1)], dim=1),
                torch.cat([rows, their_weights.view(-1, 1)], dim=1),
            )
    ours, theirs = keyed(scores, labels_of_rows), keyed(rows, their_labels)
    assert ((labels >= 0) & (labels < 3)).any(dim=1).all(), 'each picture was to have positive priors'
    rounding = dict(rtol=1e-4, atol=1e-5) if name in GIVES_PROBABILITIES else {}  # near rows may change places
    torch.testing.assert_close(ours, theirs, **rounding)


@EVERY
def test_boxes_are_those_that_the_head_predicts(student_cfg, name):
    """In both modes: a student's head is in training, a teacher's is not."""
    detector = detector_of(DENSE_HEADS[name](student_cfg))
    view = find_view(detector.bbox_head, DenseView)
    maps = tuple(torch.randn(2, m.shape[1], *m.shape[-2:], generator=torch.Generator().manual_seed(i))
                 for i, m in enumerate(detector.extract_feat(torch.zeros(2, 3, 64, 96))))  # fmt: skip
    found = {}
    with torch.no_grad():
        for training in (True, False):
            detector.bbox_head.train(training)
            found[training] = DensePredictions(view, view.maps(detector.bbox_head(maps), training)).boxes
        theirs = predicted_boxes(detector, maps)
    rounded = {}
    for training, boxes in found.items():
        rounded[training] = {tuple(box) for box in boxes.flatten(0, 1).clamp(0, 1e6).mul(4).round().tolist()}
    asked = {tuple(box) for box in theirs.clamp(0, 1e6).mul(4).round().tolist()}
    torch.testing.assert_close(found[True], found[False], rtol=1e-4, atol=1e-2)
    assert len(asked) > 10
    assert asked <= rounded[True] | rounded[False]


@EVERY
def test_anchors_are_the_priors_of_a_head_that_has_boxes_for_priors(student_cfg, name):
    """Level by level; a head on points has none, and says so."""
    view = find_view(build(DENSE_HEADS[name](student_cfg), init=False).bbox_head, DenseView)
    sizes = [(height, height + 1) for height in range(2, 2 + len(view.strides))]
    priors = view.priors(sizes, torch.device('cpu'))
    if priors.places.shape[1] == 2:
        assert view.why_not('anchors') == 'its priors are points, which have no size'
        return
    assert view.why_not('anchors') is None
    levels = view.anchors(sizes, torch.device('cpu'))
    assert torch.equal(torch.cat(levels), priors.places)
    for level, (height, width), stride in zip(levels, sizes, view.strides, strict=True):
        cells = level.view(height, width, -1, 4)
        moved = cells[1:, 1:] - torch.tensor([*stride, *stride])
        torch.testing.assert_close(moved, cells[:-1, :-1], rtol=1e-4, atol=1e-3)


@each(*(name for name in DENSE_HEADS if name not in SILENT))
@pytest.mark.parametrize('counts', [(4, 2), (0, 3), (0, 0)])
def test_each_positive_prior_has_the_box_that_it_is_trained_towards(student_cfg, name, counts):
    """Its class and its picture are those of the true box; a head trains it towards that box."""
    detector = detector_of(DENSE_HEADS[name](student_cfg))
    with seen(detector, pictures(counts=counts), ('labels', 'positives')) as step:
        labels = step.view.assignment(step.calls).labels
        images, places, truth = step.view.positives(step.calls, step.truth)
    own = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    assert torch.equal(own[truth], images)
    if name not in UNLIKE_LABELS:
        assert torch.equal(torch.cat(step.truth.labels)[truth], labels[images, places])
    assert (len(truth) > 0) == (sum(counts) > 0)
    if step.calls.get('sample'):  # of heads that assign twice, the second time
        trained_towards = torch.cat([call.result.pos_gt_bboxes for call in step.calls['sample'][-len(counts) :]])
        assert torch.equal(torch.cat(step.truth.boxes)[truth], trained_towards)


def test_a_prediction_that_is_first_asked_for_without_gradients_has_its_gradient(student_cfg):
    """All who ask share it; the first to ask may only be choosing where to look."""
    detector = detector_of(DENSE_HEADS['fcos'](student_cfg))
    with seen(detector, pictures(), ()) as step, torch.no_grad():
        pieces = [getattr(step.predictions, name) for name in ('scores', 'regressed', 'quality', 'boxes')]
    assert all(piece.requires_grad for piece in pieces)


def test_autocast_moves_no_box(student_cfg):
    """GFL's boxes are sums over bins, made by a matrix product."""
    detector = detector_of(DENSE_HEADS['gfl'](student_cfg))
    with seen(detector, pictures(), ()) as step:
        boxes, maps = step.predictions.boxes, step.predictions.maps
    at = (torch.tensor([0, 1]), torch.tensor([3, 5]))
    with torch.autocast('cpu', torch.bfloat16):
        again = DensePredictions(step.view, maps)
        some = again.boxes_of(*at)
        torch.testing.assert_close(again.boxes, boxes)
    torch.testing.assert_close(some, boxes[at])
