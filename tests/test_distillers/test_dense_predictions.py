"""The distillers of what dense heads predict, against loops over single priors on real tiny detectors."""

import math
import statistics
from itertools import pairwise

import pytest
import torch
from helpers.distil import AS_ALONE, build, distilled_cfg, losses_of, raw_batch, soft_part, total
from helpers.one_stage import atss, fcos, gfl, retinanet, ssd
from helpers.two_heads import LAST_LAYERS, fix_norms, on_the_students_grid, spread, two_pictures
from mmdet.structures.bbox import bbox_overlaps, distance2bbox

from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import rows_of
from mmdet_kd.knowledge import record_calls
from mmdet_kd.losses.functional import valuable_region

BCKD = dict(type='BCKDDistiller')
LD = dict(type='LDDistiller', cls_weight=10.0, region_cls_weight=2.0)
BOXES = dict(type='DenseHeadDistiller', loss_bbox=dict(type='GIoULoss', loss_weight=2.0), priors='all')
DIST = dict(type='DenseHeadDistiller', loss_cls=dict(type='DISTLoss', use_sigmoid=True), priors='all')
EACH = {
    'bckd': (BCKD, retinanet),
    'bckd of gfl': (BCKD, gfl),
    'ld': (LD, gfl),
    'boxes': (BOXES, retinanet),
    'boxes of fcos': (BOXES, fcos),
    'dist': (DIST, retinanet),
}
every = pytest.mark.parametrize(
    'name', [name if name in ('bckd', 'ld') else pytest.param(name, marks=pytest.mark.slow) for name in EACH]
)


@pytest.fixture
def cfgs(student_cfg, teacher_cfg):
    """The student pads its pictures to more than the teacher has."""
    student_cfg.model.data_preprocessor.pad_size_divisor = 64
    return student_cfg, teacher_cfg


def distilled(cfgs, distiller, family, of_teacher=None):
    cfg = distilled_cfg(family(cfgs[0]), (of_teacher or family)(cfgs[1]), None, kd=distiller)
    cfg.model.teacher.update(AS_ALONE)
    detector = build(cfg)
    for seed, side in enumerate((detector, detector.teacher.detector)):
        spread(side.bbox_head, seed)
    return detector


class Observed:
    """A step: its losses, and rows of what both sides say of each prior of the student's, (N, M, ...)."""

    def __init__(self, detector, batch):
        head_s, head_t = detector.bbox_head, detector.teacher.detector.bbox_head
        points = {'s': (head_s, 'forward'), 't': (head_t, 'forward'), 'targets': (head_s, 'get_targets')}
        with record_calls(points) as calls:
            self.losses = soft_part(losses_of(detector, batch))
            raw_s, raw_t, targets = (calls[name][0].result for name in points)
        self.parts = {name.removeprefix('kd.loss_'): loss.item() for name, loss in self.losses.items()}
        raw_t = [on_the_students_grid(t, s) for t, s in zip(raw_t[:2], raw_s[:2], strict=True)]
        self.maps = raw_s[0], raw_t[0]
        at = 1 if type(head_s).__name__ == 'GFLHead' else 0
        images = len(raw_s[0][0])
        self.labels = torch.cat([level.view(images, -1) for level in targets[at]], dim=1)
        weights = torch.ones_like(self.labels, dtype=torch.float)  # of FCOS, which leaves no prior out
        if type(head_s).__name__ != 'FCOSHead':
            weights = torch.cat([level.view(images, -1) for level in targets[at + 1]], dim=1)
        self.scores_s, self.scores_t = (rows_of(raw[0], 3).detach() for raw in (raw_s, raw_t))
        self.known = ~self.scores_t.isnan().any(dim=-1)
        self.weights = weights * self.known
        assert not self.known.all()
        self.levels = [level[0].numel() // 3 for level in raw_s[0]]
        sizes = [level.shape[-2:] for level in raw_s[0]]
        self.anchors = head_s.prior_generator.grid_priors(sizes, device='cpu')
        widths = [4 * (getattr(head, 'reg_max', 0) + 1) for head in (head_s, head_t)]
        self.regressed_s, self.regressed_t = (
            rows_of(raw[1], width).detach() for raw, width in zip((raw_s, raw_t), widths, strict=True)
        )
        self.positive = (self.labels >= 0) & (self.labels < 3)
        assert self.positive.any()

    def boxes(self, head, regressed):
        anchors = torch.cat(self.anchors)
        if type(head).__name__ == 'GFLHead':
            centres = (anchors[:, :2] + anchors[:, 2:]) / 2
            strides = torch.cat([torch.full((n, 1), 4.0 * 2**level) for level, n in enumerate(self.levels)])
            distances = [head.integral(own) * strides for own in regressed]
            return torch.stack([distance2bbox(centres, own) for own in distances])
        if type(head).__name__ == 'FCOSHead':
            return torch.stack([distance2bbox(anchors, own) for own in regressed])
        return torch.stack([head.bbox_coder.decode(anchors, own) for own in regressed])

    def giou(self, detector):
        heads = (detector.bbox_head, self.regressed_s), (detector.teacher.detector.bbox_head, self.regressed_t)
        return bbox_overlaps(*(self.boxes(*each) for each in heads), mode='giou', is_aligned=True)


@pytest.mark.parametrize('levels', ['with positives', 'all'])
@pytest.mark.parametrize('family', [retinanet, pytest.param(gfl, marks=pytest.mark.slow)])
def test_bckd_is_its_formula(cfgs, family, levels):
    detector = distilled(cfgs, dict(BCKD, cls_weight=0.5, bbox_weight=3.0, beta=2.0, levels=levels), family)
    step = Observed(detector, two_pictures())
    giou = step.giou(detector)
    number = max(step.positive.sum().item(), 1)
    starts = [sum(step.levels[:n]) for n in range(len(step.levels) + 1)]
    with_positives = [step.positive[:, a:b].any().item() for a, b in pairwise(starts)]
    assert with_positives.count(False) > 0
    cls = bbox = 0.0
    for image, place in step.known.nonzero().tolist():
        p_s, p_t = (rows[image, place].sigmoid().tolist() for rows in (step.scores_s, step.scores_t))
        weight = step.weights[image, place].item()
        for s, t in zip(p_s, p_t, strict=True):
            cls -= weight * abs(s - t) ** 2 * (t * math.log(s) + (1 - t) * math.log(1 - s))
        level = next(n for n, end in enumerate(starts[1:]) if place < end)
        if levels == 'all' or with_positives[level]:
            apart = max(abs(s - t) for s, t in zip(p_s, p_t, strict=True))
            bbox += weight * apart * (1 - giou[image, place].item())
    assert step.parts['cls'] == pytest.approx(0.5 * cls / number, rel=1e-3)
    assert step.parts['bbox'] == pytest.approx(3.0 * bbox / number, rel=1e-3)


def divergence(z_s, z_t, temperature):
    """Of two softmaxes."""
    p_s, p_t = ((z / temperature).softmax(dim=0).tolist() for z in (z_s, z_t))
    return sum(t * math.log(t / s) for s, t in zip(p_s, p_t, strict=True))


@pytest.mark.parametrize(('divisor', 'overlap'), [('weights', 'diou'), ('none', 'of anchor')])
def test_ld_is_its_formula(cfgs, divisor, overlap):
    detector = distilled(cfgs, dict(LD, divisor=divisor, overlap=overlap), gfl)
    batch = two_pictures()
    truth = [sample.gt_instances.bboxes for sample in batch['data_samples']]
    truth[0][0] = torch.tensor([50.0, 5.0, 95.0, 60.0])  # its region reaches where the teacher has no cells
    step = Observed(detector, batch)
    regions = [
        valuable_region(step.anchors, own[None], torch.ones(1, len(own), dtype=torch.bool), overlap=overlap)
        for own in truth
    ]
    assert (torch.cat(regions) > 0)[~step.known].any()
    region = torch.cat(regions) * (step.weights > 0)
    assert (region > 0).sum() > 5
    main = step.positive * (step.weights > 0) * step.scores_s.sigmoid().amax(dim=-1)
    sums, counts = dict(main=0.0, region=0.0), {}
    for name, weights in (('main', main), ('region', region)):
        for image, place in weights.nonzero().tolist():
            sides = (rows[image, place].view(4, -1) for rows in (step.regressed_s, step.regressed_t))
            found = [divergence(s, t, 10.0) * 100 / 5 for s, t in zip(*sides, strict=True)]  # five bins
            sums[name] += weights[image, place].item() * statistics.mean(found)
        counts[name] = max(weights.sum().item(), 1) if divisor == 'weights' else 1
    assert step.parts['main'] == pytest.approx(0.25 * sums['main'] / counts['main'], rel=1e-3)
    assert step.parts['region'] == pytest.approx(0.25 / 4 * sums['region'] / counts['region'], rel=1e-3)
    starts = [sum(step.levels[:n]) for n in range(len(step.levels))]
    for part, weights, factor in (('cls', main, 10.0), ('region_cls', region, 2.0)):
        of_levels = [
            (weights[:, start : start + n] > 0).nonzero() + torch.tensor([0, start])
            for start, n in zip(starts, step.levels, strict=True)
        ]
        groups = of_levels if divisor == 'none' else [torch.cat(of_levels)]
        expected = 0.0
        for places in groups:
            found = [divergence(step.scores_s[i, p], step.scores_t[i, p], 2.0) * 4 / 3 for i, p in places.tolist()]
            expected += sum(found) / max(len(found), 1)
        assert step.parts[part] == pytest.approx(factor * expected, rel=1e-3), part


@pytest.mark.parametrize('family', [retinanet, pytest.param(fcos, marks=pytest.mark.slow)])
@pytest.mark.parametrize('priors', ['positive', 'all'])
def test_decoded_boxes_weighted_by_the_teachers_score(cfgs, family, priors):
    detector = distilled(cfgs, dict(BOXES, priors=priors), family)
    step = Observed(detector, two_pictures())
    giou = step.giou(detector)
    expected = 0.0
    for image, place in (step.known & (step.positive | (priors == 'all'))).nonzero().tolist():
        expected += step.scores_t[image, place].sigmoid().max().item() * (1 - giou[image, place].item())
    number = step.positive.sum().item()
    assert step.parts['bbox'] == pytest.approx(2.0 * expected / number, rel=1e-3)


@pytest.mark.parametrize(
    ('family', 'of_teacher', 'unit'),
    [(retinanet, retinanet, 'deltas'), pytest.param(gfl, atss, 'strides', marks=pytest.mark.slow)],
)
def test_boxes_of_one_encoding(cfgs, family, of_teacher, unit):
    """Deltas where both have the same coder, otherwise the sides in strides."""
    loss = dict(type='SmoothL1Loss', beta=1.0)
    detector = distilled(cfgs, dict(type='DenseHeadDistiller', loss_bbox=loss, priors='all'), family, of_teacher)
    step = Observed(detector, two_pictures())
    numbers = step.regressed_s, step.regressed_t
    if unit == 'strides':
        strides = torch.cat([torch.full((n, 1), 4.0 * 2**level) for level, n in enumerate(step.levels)])
        heads = (detector.bbox_head, numbers[0]), (detector.teacher.detector.bbox_head, numbers[1])
        numbers = tuple(step.boxes(*each) / strides for each in heads)
    expected = 0.0
    for image, place in step.known.nonzero().tolist():
        off = (numbers[0][image, place] - numbers[1][image, place]).abs()
        smooth = torch.where(off < 1, off**2 / 2, off - 0.5).sum().item()
        expected += step.scores_t[image, place].sigmoid().max().item() * smooth
    assert step.parts['bbox'] == pytest.approx(expected / step.positive.sum().item(), rel=1e-3)


def test_dist_relates_the_cells_of_each_level(cfgs):
    """A row a cell, with the scores of its anchors side by side; levels are added up."""
    detector = distilled(cfgs, DIST, retinanet)
    step = Observed(detector, two_pictures())
    expected = 0.0
    for level_s, level_t in zip(*step.maps, strict=True):
        rows = [level.detach().sigmoid().movedim(1, -1).flatten(0, 2) for level in (level_s, level_t)]
        assert rows[0].shape[1] > 3
        known = ~rows[1].isnan().any(dim=1)
        s, t = (each[known].double().numpy() for each in rows)
        within = statistics.mean(_correlation(a, b) for a, b in zip(s, t, strict=True))
        across = statistics.mean(_correlation(a, b) for a, b in zip(s.T, t.T, strict=True)) if len(s) > 1 else 1.0
        expected += (1 - within) + (1 - across)
    assert step.parts['cls'] == pytest.approx(expected, rel=1e-3)


def _correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))


@pytest.mark.slow
def test_dist_relates_the_priors_of_a_softmax(cfgs):
    """A softmax is over the classes of one prior."""
    detector = distilled(cfgs, dict(DIST, loss_cls=dict(type='DISTLoss')), ssd)
    head_s, head_t = detector.bbox_head, detector.teacher.detector.bbox_head
    with record_calls({'s': (head_s, 'forward'), 't': (head_t, 'forward')}) as calls:
        found = soft_part(losses_of(detector, raw_batch((3, 2))))['kd.loss_cls'].item()
        raw = [calls[name][0].result[0] for name in 'st']
    expected = 0.0
    for level_s, level_t in zip(*raw, strict=True):
        s, t = (
            rows_of([level], 4)[..., :].flatten(0, 1).detach().softmax(dim=1).double().numpy()
            for level in (level_s, level_t)
        )
        expected += 1 - statistics.mean(_correlation(a, b) for a, b in zip(s, t, strict=True))
        expected += 1 - statistics.mean(_correlation(a, b) for a, b in zip(s.T, t.T, strict=True))
    assert found == pytest.approx(expected, rel=1e-3)


@every
def test_gradients_reach_the_students_head_alone(cfgs, name):
    distiller, family = EACH[name]
    detector = distilled(cfgs, distiller, family)
    total(Observed(detector, two_pictures()).losses).backward()
    reached = {n for n, p in detector.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert all(parameter.grad is None for parameter in detector.teacher.detector.parameters())
    assert {'neck.lateral_convs.0.conv.weight'} <= reached
    kinds = {'cls': bool({'cls'} & set(detector.distillers['kd'].parts)), 'reg': name != 'dist'}
    for kind, wanted in kinds.items():
        assert any(n.rpartition('.')[0].partition('.')[2] in LAST_LAYERS and kind in n for n in reached) == wanted, kind


@every
def test_a_student_that_is_its_teacher(student_cfg, name):
    """Each loss is at its floor, without a gradient."""
    distiller, family = EACH[name]
    detector = distilled((student_cfg, student_cfg), distiller, family)
    fix_norms(detector)
    detector.load_state_dict(detector.teacher.detector.state_dict(), strict=False)
    with torch.no_grad():
        spread(detector.bbox_head, 1)
    losses = soft_part(losses_of(detector, raw_batch((3, 2))))
    assert total(losses).item() == pytest.approx(0, abs=1e-4)
    total(losses).backward()
    steepest = max(p.grad.abs().max().item() for p in detector.parameters() if p.grad is not None)
    assert steepest < 1e-3


@every
def test_without_truth_all_parts_are_finite_and_attached(cfgs, name):
    distiller, family = EACH[name]
    detector = distilled(cfgs, distiller, family)
    losses = soft_part(losses_of(detector, two_pictures((0, 0))))
    assert set(losses) == {f'kd.loss_{part}' for part in detector.distillers['kd'].parts}
    assert all(math.isfinite(loss.item()) and loss.requires_grad for loss in losses.values())
    if name == 'ld':
        assert total(losses).item() == 0
    total(losses).backward()
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ('distiller', 'family', 'of_teacher', 'message'),
    [
        (LD, retinanet, retinanet, 'LDDistiller: the student.*RetinaHead.*a distribution of where each side'),
        (BCKD, ssd, ssd, 'BCKDDistiller: it compares sigmoids, and both heads score by a softmax: leave it out'),
        (BCKD, fcos, atss, "BCKDDistiller: the priors of the student's FCOSHead"),
        (dict(DIST, priors='positive'), retinanet, retinanet, "relates all cells of a map: write priors='all'"),
        (dict(DIST, loss_cls=dict(type='DISTLoss')), retinanet, retinanet, 'set loss_cls.use_sigmoid=True'),
        (dict(type='DenseHeadDistiller'), retinanet, retinanet, 'neither loss_cls nor loss_bbox is given'),
        (dict(BOXES, loss_bbox=dict(type='HintLoss')), retinanet, retinanet, 'loss_bbox cannot be used here'),
        (dict(LD, overlap='iou'), gfl, gfl, 'LDDistiller: overlap must be one of'),
        (dict(BCKD, levels='some'), gfl, gfl, 'BCKDDistiller: levels must be one of'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(cfgs, distiller, family, of_teacher, message):
    with pytest.raises(DistillationError, match=message):
        distilled(cfgs, distiller, family, of_teacher)


def test_other_bins_are_refused(cfgs):
    cfg = distilled_cfg(gfl(cfgs[0]), gfl(cfgs[1]), None, kd=LD)
    cfg.model.bbox_head.reg_max = 8
    with pytest.raises(DistillationError, match='the student has 9 bins a side, the teacher 5: give both'):
        build(cfg)
