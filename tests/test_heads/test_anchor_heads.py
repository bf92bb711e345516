"""Anchor-based dense heads: what is theirs alone, and a distilled step of each, or the reason why there is none."""

import copy
import math
import sys

import pytest
import torch
from helpers.anchor_heads import ANCHOR_HEADS, ASSIGNING, fsaf, ga_retina, paa, tood
from helpers.classifier import taught_by_classifier
from helpers.dense_heads import detector_of, each, given_to_the_loss, pictures, predicted, seen
from helpers.distil import AS_ALONE, DENSE, HINT, build, distilled_cfg, losses_of, raw_batch, soft_part
from helpers.one_stage import atss
from mmdet.models.dense_heads import ATSSVLFusionHead
from mmengine.logging import MessageHub

from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import DensePredictions, DenseView, find_view, known_heads
from mmdet_kd.knowledge import record_calls

SOFTMAX = ('ssd', 'pisa_ssd', 'yolact')
REFUSED = {
    'free_anchor': 'it weighs its priors, and assigns a class to none',
    'lad': 'its loss takes them from a teacher of its own',
    'ld': 'its loss needs the outputs of a teacher of its own',
    'ga_retina': 'it makes its anchors from the picture',
}


@pytest.fixture(autouse=True)
def _first_epoch():
    """As a training notes it; TOOD asks for it."""
    MessageHub.get_current_instance().update_info('epoch', 0)


@each(*(name for name in ANCHOR_HEADS if name != 'sabl'))  # SABL's quality is no logit
def test_each_box_belongs_to_its_score_and_its_quality(student_cfg, name):
    """As in mmdet's own prediction of the first class, which multiplies the score by the quality."""
    detector = detector_of(ANCHOR_HEADS[name](student_cfg)).eval()
    view = find_view(detector.bbox_head, DenseView)
    maps = tuple(torch.randn(2, *m.shape[1:], generator=torch.Generator().manual_seed(i))
                 for i, m in enumerate(detector.extract_feat(torch.zeros(2, 3, 64, 96))))  # fmt: skip
    with torch.no_grad():
        ours = DensePredictions(view, view.maps(detector.bbox_head(maps), training=False))
        scores = (ours.scores.sigmoid() if view.use_sigmoid else ours.scores.softmax(dim=-1))[..., 0]
        if view.why_not('quality') is None:
            scores = scores * ours.quality.sigmoid()
        scores = scores.sqrt() if name in ('paa', 'lad') else scores
        theirs = predicted(detector, maps)
    assert (ours.maps.quality is None) == (view.why_not('quality') is not None)
    for boxes, score, found in zip(ours.boxes, scores, theirs, strict=True):
        first = found.labels == 0
        rows = torch.cat([boxes.clamp(0, 1e6), 20 * score.log()[:, None]], dim=1)
        wanted = torch.cat([found.bboxes[first].clamp(0, 1e6), 20 * found.scores[first].log()[:, None]], dim=1)
        assert len(wanted) == len(rows) or name == 'yolact'  # which leaves out equal boxes
        assert torch.cdist(wanted, rows, p=math.inf).min(dim=1).values.max() < 0.05
        assert torch.cdist(rows, wanted, p=math.inf).min(dim=1).values.max() < 0.05 or name == 'yolact'


@each(*(name for name in ASSIGNING if name not in ('fsaf', 'sabl', 'paa', 'yolof')))
def test_the_heads_own_target_of_each_positive_prior_is_its_true_box(student_cfg, name):
    detector = detector_of(ANCHOR_HEADS[name](student_cfg))
    head = detector.bbox_head
    with seen(detector, pictures(), ('positives',)) as step:
        (call,) = step.calls['get_reg_targets' if name == 'ddod' else 'get_targets']
        images, places, truth = step.view.positives(step.calls, step.truth)
        priors = step.predictions.priors
    place = {'yolov3': 0, 'ddod': 3}.get(name, step.view.labels_at + 2)
    targets = torch.cat(call.result[place], dim=1)[..., :4]
    trained = targets.abs().sum(dim=-1).nonzero(as_tuple=True)
    assert torch.equal(torch.stack(trained), torch.stack([images, places]))
    targets, anchors = targets[images, places], priors.places[places]
    if name == 'yolov3':
        boxes = head.bbox_coder.decode(anchors, targets, priors.strides[places])
    elif name == 'gfl' or head.reg_decoded_bbox:
        boxes = targets
    else:
        boxes = head.bbox_coder.decode(anchors, targets)
    torch.testing.assert_close(boxes, torch.cat(step.truth.boxes)[truth], rtol=1e-4, atol=1e-2)


@each('paa', 'yolof')
@pytest.mark.parametrize('counts', [(4, 2), (0, 3)])
def test_the_box_loss_is_given_the_positive_priors(student_cfg, name, counts):
    """Their boxes and what they are trained towards, in the order of the pictures."""
    detector = detector_of(ANCHOR_HEADS[name](student_cfg))
    with seen(detector, pictures(counts=counts), ('positives',)) as step:
        images, places, truth = step.view.positives(step.calls, step.truth)
        boxes = step.predictions.boxes_of(images, places)
        given = step.losses['loss_bbox'][-1].arguments
    rows = given['weight'] > 0 if name == 'yolof' else slice(None)
    torch.testing.assert_close(boxes, given['pred'][rows], rtol=1e-4, atol=1e-3)
    assert torch.equal(torch.cat(step.truth.boxes)[truth], given['target'][rows])


def test_paa_keeps_a_part_of_its_candidates(student_cfg):
    """Otherwise the tests above could not tell them from the priors that are trained."""
    detector = detector_of(paa(student_cfg))
    with seen(detector, pictures(), ('labels',)) as step:
        labels = step.view.assignment(step.calls).labels
        candidates = sum(len(call.arguments['pos_inds']) for call in step.calls['reassign'])
    assert 0 < ((labels >= 0) & (labels < 3)).sum() < candidates


@pytest.mark.slow
@pytest.mark.parametrize('counts', [(4, 2), (0, 3)])
def test_fsaf_trains_each_true_box_on_the_level_of_its_least_loss(student_cfg, counts):
    detector = detector_of(fsaf(student_cfg))
    with seen(detector, pictures(counts=counts), ('labels', 'positives')) as step:
        labels = step.view.assignment(step.calls).labels
        found = {tuple(each) for each in torch.stack(step.view.positives(step.calls, step.truth), dim=1).tolist()}
        losses = [
            (of_classes.result.sum(dim=-1) + of_box.result).tolist()
            for of_classes, of_box in zip(step.losses['loss_cls'], step.losses['loss_bbox'], strict=True)
        ]
        assigned = [level.tolist() for level in step.calls['get_targets'][0].result[6]]
    expected, dropped = set(), 0
    for box in range(sum(counts)):
        means = {}
        for level, (loss, owners) in enumerate(zip(losses, assigned, strict=True)):
            own = [value for value, owner in zip(loss, owners, strict=True) if owner == box]
            if own:
                means[level] = sum(own) / len(own)
        best, first = min(means, key=means.get, default=None), 0
        dropped += len(means) - 1
        for level, owners in enumerate(assigned):
            count = len(owners) // len(counts)
            for row, owner in enumerate(owners):
                if owner == box and level == best:
                    expected.add((row // count, first + row % count, box))
            first += count
    assert dropped > 0
    assert found == expected
    positive = {(image, place) for image, place in ((labels >= 0) & (labels < 3)).nonzero().tolist()}
    assert positive == {(image, place) for image, place, _ in expected}


def test_ddod_trains_other_priors_towards_boxes_than_towards_classes(student_cfg):
    """Otherwise the tests above could not tell its two assignments apart."""
    detector = detector_of(ANCHOR_HEADS['ddod'](student_cfg))
    with seen(detector, pictures(), ('labels', 'positives')) as step:
        labels = step.view.assignment(step.calls).labels
        images, places, _ = step.view.positives(step.calls, step.truth)
    positive = ((labels >= 0) & (labels < 3)).nonzero().tolist()
    assert sorted(positive) != sorted(torch.stack([images, places], dim=1).tolist())


def test_a_logit_of_tood_is_that_of_its_probability(student_cfg):
    """Within the least distance from 0 and 1, at which it is cut off, and its gradient is finite."""
    view = find_view(detector_of(tood(student_cfg)).bbox_head, DenseView)
    inner = [view.closest * 2, 1e-3, 0.3, 0.9, 1 - 1e-3]
    probabilities = torch.tensor([0.0, view.closest / 2, *inner, 1.0]).view(1, 8, 1, 1).requires_grad_()
    raw = ([probabilities] * 5, [torch.zeros(1, 4, 1, 1)] * 5)
    logits = view.maps(raw, training=True).scores[0]
    assert logits.isfinite().all()
    assert (logits.sigmoid() - probabilities).abs().max() <= 1.1 * view.closest
    expected = torch.tensor([math.log(p) - math.log1p(-p) for p in inner])
    torch.testing.assert_close(logits[0, 2:7, 0, 0], expected, rtol=1e-3, atol=1e-5)
    logits.sum().backward()
    assert probabilities.grad.isfinite().all()


def kl(s, t):
    """Of the probabilities of two rows of sigmoids, the mean over the classes."""
    terms = [b * math.log(b / a) + (1 - b) * math.log((1 - b) / (1 - a)) for a, b in zip(s, t, strict=True)]
    return sum(terms) / len(terms)


def probabilities_of(name, raw, classes=3):
    """Rows of the first picture, level by level, cell by cell, anchor by anchor; from what ``forward`` returned."""
    rows = []
    for level in raw[0]:
        numbers = classes + 5 if name == 'yolov3' else classes
        cells = level[0].permute(1, 2, 0).reshape(-1, numbers)[:, -classes:]
        rows += (cells if name.startswith('tood') else cells.sigmoid()).tolist()
    return rows


def distilled(student_cfg, teacher_cfg, name, **teacher):
    """A student and a teacher with that head; the weights of both heads are moved."""
    make, loss = ASSIGNING[name], dict(type='SoftenedKLLoss', temperature=1.0, use_sigmoid=name not in SOFTMAX)
    cfg = distilled_cfg(make(student_cfg), make(teacher_cfg), None, dense={**DENSE, 'loss_cls': loss})
    cfg.model.teacher.update(teacher)
    detector = build(cfg)
    for seed, head in enumerate((detector.bbox_head, detector.teacher.detector.bbox_head)):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return detector


@each(*(name for name in ASSIGNING if name not in SOFTMAX and name != 'fsaf'), quick=('paa', 'tood'))
def test_what_is_distilled_is_the_kl_of_the_heads_own_positive_priors(student_cfg, teacher_cfg, name):
    """PAA's are those that it keeps; TOOD gives probabilities."""
    detector = distilled(student_cfg, teacher_cfg, name, **AS_ALONE)
    head = detector.bbox_head
    points = {side: (each, 'forward') for side, each in (('s', head), ('t', detector.teacher.detector.bbox_head))}
    points |= {loss: (module, 'forward') for loss, module in head.named_children() if loss.endswith('loss_cls')}
    with record_calls(points) as calls:
        found = soft_part(losses_of(detector, raw_batch((3,))))['dense.loss_cls']
        _, labels, _ = given_to_the_loss(calls)
        rows_s, rows_t = (probabilities_of(name, calls[side][0].result) for side in 'st')
    terms = [kl(s, t) for s, t, label in zip(rows_s, rows_t, labels.tolist(), strict=True) if 0 <= label < 3]
    assert len(terms) > 0
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=2e-3)


@each(*ASSIGNING, quick=('paa', 'tood'))
def test_a_distilled_step(student_cfg, teacher_cfg, name):
    """The gradient reaches the scores, not the boxes; with the step, the loss gets smaller."""
    detector = distilled(student_cfg, teacher_cfg, name)
    moved = [parameter for parameter in detector.bbox_head.parameters() if parameter.requires_grad]
    batch = raw_batch((3, 2))
    before = soft_part(losses_of(detector, batch))['dense.loss_cls']
    assert before.item() > 1e-5
    before.backward()
    scores, boxes = gradients(detector.bbox_head)
    assert scores > 0
    assert boxes == 0
    torch.optim.SGD(moved, lr=1e-2 / scores).step()
    losses = losses_of(detector, batch)
    assert all(torch.as_tensor(loss).isfinite().all() for loss in soft_part(losses).values())
    assert soft_part(losses)['dense.loss_cls'] < before


def gradients(head):
    """Sums of the absolute gradients of the last layers of the scores, and of the boxes."""
    if hasattr(head, 'convs_pred'):  # YOLOv3: classes and boxes are channels of one layer
        channels = [conv.bias.grad.abs().view(head.num_base_priors, -1) for conv in head.convs_pred]
        return tuple(sum(c[:, part].sum().item() for c in channels) for part in (slice(5, None), slice(5)))
    found = []
    for names in (('cls',), ('reg', 'bbox_pred')):
        layers = [
            (key, p.grad)
            for key, p in head.named_parameters()
            if any(name in key for name in names) and key.endswith('bias') and p.grad is not None
        ]
        found.append(sum(gradient.abs().sum().item() for _, gradient in layers))
    return tuple(found)


@each(*REFUSED, quick=('ld',))
def test_what_cannot_be_asked_is_refused_when_it_is_built(student_cfg, teacher_cfg, name):
    make = {**ANCHOR_HEADS, 'ga_retina': ga_retina}[name]
    cfg = distilled_cfg(make(student_cfg), make(teacher_cfg), None, dense=copy.deepcopy(DENSE))
    with pytest.raises(DistillationError, match=REFUSED[name]):
        build(cfg)
    with pytest.raises(DistillationError, match='ClassifierLocDistiller: the student'):
        build(taught_by_classifier(make(student_cfg)))


def test_paa_without_scikit_learn_is_refused_as_a_student(student_cfg, teacher_cfg, monkeypatch):
    """mmdet would find out in the first step."""
    monkeypatch.setitem(sys.modules, 'sklearn', None)  # as if it were not installed
    with pytest.raises(DistillationError, match='pip install scikit-learn'):
        build(distilled_cfg(paa(student_cfg), paa(teacher_cfg), None, dense=copy.deepcopy(DENSE)))
    build(distilled_cfg(atss(student_cfg), paa(teacher_cfg), None, dense=copy.deepcopy(DENSE)))


@pytest.mark.parametrize(('name', 'needed'), [('ld', 'out_teacher'), ('lad', 'label_assignment_results')])
def test_a_head_whose_loss_needs_more_is_no_student_of_maps_either(student_cfg, teacher_cfg, name, needed):
    make = ANCHOR_HEADS[name]
    cfg = distilled_cfg(make(student_cfg), make(teacher_cfg), None, hint=copy.deepcopy(HINT))
    with pytest.raises(DistillationError, match=f'Head needs {needed}, which a detector of its own gives it'):
        build(cfg)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['ld', 'lad'])
def test_what_cannot_be_a_student_teaches(student_cfg, teacher_cfg, name):
    student = ASSIGNING[{'ld': 'gfl', 'lad': 'paa'}[name]]
    loss = dict(type='SoftenedKLLoss', temperature=1.0, use_sigmoid=True)
    cfg = distilled_cfg(student(student_cfg), ANCHOR_HEADS[name](teacher_cfg), None, dense={**DENSE, 'loss_cls': loss})
    found = soft_part(losses_of(build(cfg), raw_batch((3, 2))))
    found['dense.loss_cls'].backward()
    assert found['dense.loss_cls'].item() > 0


@each(*ASSIGNING, quick=('paa',))
def test_a_classifier_teaches_the_boxes_of_the_positive_priors(student_cfg, name):
    detector = build(taught_by_classifier(ASSIGNING[name](student_cfg)))
    loss = soft_part(losses_of(detector, raw_batch((3, 2))))['kd_loc.loss_loc']
    assert loss.item() > 1e-5
    loss.backward()
    scores, boxes = gradients(detector.bbox_head)
    assert boxes > 0
    assert scores == 0


def test_glips_head_answers_nothing():
    """It cannot be built without transformers."""
    assert set(known_heads()[ATSSVLFusionHead].cannot) == set(DenseView.questions)


OWN_METHODS = (
    ('retinanet', 'get_anchors'),
    ('retinanet', '_predict_by_feat_single'),
    ('ddod', 'get_reg_targets'),
    ('paa', 'paa_reassign'),
    ('fsaf', 'reweight_loss_single'),
)


@pytest.mark.parametrize(('name', 'method'), OWN_METHODS)
def test_a_head_with_priors_targets_or_boxes_of_its_own_is_another_head(student_cfg, name, method):
    head = detector_of(ANCHOR_HEADS[name](student_cfg)).bbox_head
    kind = type(head)
    assert find_view(head, DenseView).why_not('boxes') is None
    head.__class__ = type('OwnHead', (kind,), {method: lambda *args, **kwargs: None})
    assert f'it overrides {method} of {kind.__name__}' in find_view(head, DenseView).why_not('boxes')
