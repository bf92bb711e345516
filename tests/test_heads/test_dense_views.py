"""Each view of a dense head says what the head itself uses: two tests a head, and what is refused."""

import pytest
import torch
from helpers.anchor_heads import ANCHOR_HEADS, ASSIGNING
from helpers.dense_heads import DENSE_HEADS, detector_of, pictures, predicted_boxes, seen

from mmdet_kd.heads import DensePredictions, DenseView, find_view

#: Those that are tried in each run; the others are left to the sweeps.
QUICK = {'retinanet', 'ssd', 'fcos', 'atss', 'gfl', 'paa', 'tood'}


def heads(*without):
    """A parameter a head."""
    slow = pytest.mark.slow
    names = (name for name in DENSE_HEADS if name not in without)
    params = [pytest.param(name, marks=() if name in QUICK else slow) for name in names]
    return pytest.mark.parametrize('name', params)


EVERY = heads()
SILENT = set(ANCHOR_HEADS) - set(ASSIGNING)
GIVES_PROBABILITIES = ('tood', 'tood_at_first')
#: Their positive priors may have another label, or none.
UNLIKE_LABELS = ('ddod', 'yolof')


def keyed(rows, labels, seed=0):
    """Rows with their labels in an order that depends on the numbers alone."""
    rows = torch.cat([rows.detach().double(), labels.double()[:, None]], dim=1)
    weights = torch.rand(rows.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.5
    return rows[(rows @ weights).argsort()]


def given_to_the_loss(calls):
    """Score rows and labels of every call of a head's own classification loss that counts."""
    rows, labels = [], []
    for call in calls:
        given = call.arguments
        if given.get('reduction_override') == 'none':
            continue  # it looks for the priors that it will keep, or weighs them
        scores, target = (
            (given[name] for name in ('cls_score', 'labels')) if 'labels' in given else list(given.values())[:2]
        )
        target = target[0] if isinstance(target, tuple) else target  # beside a quality
        if target.shape == scores.shape:  # a number a class, and the priors that count
            target = target.argmax(dim=-1).where(given['weight'][..., 0] > 0, scores.shape[-1])
        rows.append(scores.reshape(-1, scores.shape[-1]))
        labels.append(target.reshape(-1))
    return torch.cat(rows), torch.cat(labels)


@heads('fsaf', *SILENT)
def test_scores_and_labels_are_what_the_heads_own_loss_is_given(student_cfg, name):
    detector = detector_of(DENSE_HEADS[name](student_cfg))
    with seen(detector, pictures(), ('labels',)) as step:
        labels = step.view.assignment(step.calls).labels
        scores = step.predictions.scores.flatten(0, 1)
        ours = keyed(scores.sigmoid() if name in GIVES_PROBABILITIES else scores, labels.flatten())
        theirs = keyed(*given_to_the_loss(step.losses['loss_cls'] + step.losses.get('initial_loss_cls', [])))
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


@heads(*SILENT)
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
    if 'sample' in step.calls:
        trained_towards = torch.cat([call.result.pos_gt_bboxes for call in step.calls['sample'][-len(counts) :]])
        assert torch.equal(torch.cat(step.truth.boxes)[truth], trained_towards)
