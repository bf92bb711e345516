"""GID as a whole: each part against the formula on real tiny detectors, what has a gradient, and what is refused."""

import copy
import dataclasses
import functools
import math

import pytest
import torch
from helpers.anchor_heads import tood
from helpers.architectures import faster
from helpers.dense_heads import seen
from helpers.distil import AS_ALONE, build, distilled_cfg, losses_of, raw_batch, soft_part, total
from helpers.one_stage import atss, fcos, gfl, retinanet, ssd
from helpers.tiny import REPO
from helpers.two_heads import LAST_LAYERS, fix_norms, on_the_students_grid, spread, two_pictures
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.structures.bbox import bbox2roi, bbox_overlaps
from mmengine.config import Config

from mmdet_kd.distillers import GIDDistiller, Model, ModelPair, gid_distiller
from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import rows_of
from mmdet_kd.knowledge import StudentKnowledge, record_calls

ADAPTER = dict(type='Conv3x3Adapter')
#: Small pictures have few large boxes; each part has a weight of its own.
GID = dict(type='GIDDistiller', adapter=ADAPTER, min_size=4.0, instances=4)
WEIGHTS = dict(feat_weight=0.02, rel_weight=3.0, cls_weight=0.5, bbox_weight=0.7)
RPN = dict(GID, predictions='rpn')
#: Name -> the families of student and teacher.
PAIRS = {
    'retinanet': (retinanet, retinanet),
    'ssd': (ssd, ssd),
    'fcos': (fcos, fcos),
    'gfl': (gfl, gfl),
    'atss of gfl': (atss, gfl),
    'rpn': (faster, faster),
}


def every(*quick):
    """All pairs; all but these in the slow sweep."""
    pairs = [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in PAIRS]
    return pytest.mark.parametrize('name', pairs)


def distilled(cfgs, name, **gid):
    make_s, make_t = PAIRS[name]
    gid = {**(RPN if name == 'rpn' else GID), **gid}
    cfg = distilled_cfg(make_s(cfgs[0]), make_t(cfgs[1]), None, gid=gid)
    cfg.model.teacher.update(AS_ALONE)
    detector = build(cfg)
    for seed, side in enumerate((detector, detector.teacher.detector)):
        spread(head_of(side), seed)
    return detector


def head_of(detector):
    return detector.rpn_head if hasattr(detector, 'rpn_head') else detector.bbox_head


@pytest.fixture
def cfgs(student_cfg, teacher_cfg):
    """The student pads its pictures to more than the teacher has."""
    student_cfg.model.data_preprocessor.pad_size_divisor = 64
    return student_cfg, teacher_cfg


class Observed:
    """A step: its losses, the instances that were chosen, and what both sides gave."""

    def __init__(self, detector, batch):
        teacher = detector.teacher.detector
        points = {'s': (head_of(detector), 'forward'), 't': (head_of(teacher), 'forward')}
        points |= {'maps_s': (detector.neck, 'forward'), 'maps_t': (teacher.neck, 'forward')}
        points['choice'] = (gid_distiller, 'choose_instances')
        with record_calls(points) as calls:
            self.losses = soft_part(losses_of(detector, batch))
        self.parts = {name.removeprefix('gid.loss_'): loss.item() for name, loss in self.losses.items()}
        (choice,) = calls['choice']
        self.boxes = [own[valid] for own, valid in zip(*choice.result, strict=True)]
        self.picture_sizes = choice.arguments['picture_sizes']
        self.raw_s, self.raw_t, self.maps_s, self.maps_t = (calls[n][0].result for n in ('s', 't', 'maps_s', 'maps_t'))


def positives(detector, batch, boxes, name):
    """Which priors (N, M) the student would train towards these boxes."""
    if name == 'rpn':
        head = detector.rpn_head
        sizes = [(16, 32), (8, 16), (4, 8), (2, 4), (1, 2)]
        anchors = torch.cat(head.prior_generator.grid_priors(sizes, device='cpu'))
        rows = []
        for each in boxes:
            overlaps = bbox_overlaps(each, anchors)
            best = overlaps.amax(dim=1, keepdim=True)
            rows.append((overlaps >= 0.7).any(dim=0) | ((overlaps == best) & (best >= 0.3)).any(dim=0))
        return torch.stack(rows)
    batch = copy.deepcopy(batch)
    for sample, own in zip(batch['data_samples'], boxes, strict=True):
        sample.gt_instances = type(sample.gt_instances)(bboxes=own, labels=torch.zeros(len(own), dtype=torch.long))
    with seen(detector, batch, ('labels',)) as step:
        labels = step.view.assignment(step.calls).labels
    return (labels >= 0) & (labels < 3)


def numbers_of_boxes(head, raw, name, training):
    """What is compared of the boxes, (N, M, 4): deltas, or the distances of the sides from any point, in strides."""
    if name in ('retinanet', 'ssd', 'rpn'):
        return rows_of(raw, 4)
    if name == 'fcos':
        return rows_of([level / stride for level, stride in zip(raw, head.strides, strict=True)], 4)
    if type(head).__name__ == 'GFLHead':
        rows = rows_of(raw, 4 * (head.reg_max + 1))
        distances = head.integral(rows.flatten(0, 1)).view(*rows.shape[:2], 4)
        return distances * torch.tensor([-1, -1, 1, 1])
    deltas = rows_of(raw, 4)  # of ATSS; an anchor's centre is where GFL's distances begin
    levels = head.prior_generator.grid_priors([m.shape[-2:] for m in raw], device='cpu')
    strides = torch.cat([torch.full((len(each), 1), 4.0 * 2**level) for level, each in enumerate(levels)])
    anchors = torch.cat(levels)
    centres = (anchors[:, :2] + anchors[:, 2:]).repeat(1, 2) / 2
    return torch.stack([(head.bbox_coder.decode(anchors, own) - centres) / strides for own in deltas])


@every('retinanet', 'fcos', 'atss of gfl', 'rpn')
def test_each_part_is_the_formula(cfgs, name):
    """With the teacher's canvas narrower than the student's, and one picture smaller than the other."""
    detector = distilled(cfgs, name, **WEIGHTS)
    head_s, head_t = head_of(detector), head_of(detector.teacher.detector)
    batch = two_pictures()
    step = Observed(detector, batch)
    assert step.picture_sizes.tolist() == [[64, 96], [64, 60]]
    assert all(len(own) >= 2 for own in step.boxes)

    # Features and relations, of mmdet's own RoIs.
    layer = dict(type='RoIAlign', output_size=10, sampling_ratio=2)
    rois = bbox2roi(step.boxes)
    feats = []
    for maps in (step.maps_s, step.maps_t):
        extractor = SingleRoIExtractor(layer, maps[0].shape[1], [4, 8, 16, 32, 64], finest_scale=56)
        feats.append(extractor([feat.detach() for feat in maps], rois))
    feats[0] = detector.distillers['gid'].features.adapter.conv(feats[0])
    squares = sum((t - s).pow(2).sum() for s, t in zip(*feats, strict=True))
    assert step.parts['feat'] == pytest.approx(0.02 * squares.item() / (len(rois) * 100), rel=1e-3)
    psi = []
    for feat in feats:
        apart = torch.stack([torch.stack([(a - b).pow(2).sum().sqrt() for b in feat]) for a in feat])
        psi.append(apart / apart[apart > 0].mean())
    off = (psi[0] - psi[1]).abs()
    smooth = torch.where(off < 1, off**2 / 2, off - 0.5).sum() / (len(rois) * (len(rois) - 1))
    assert step.parts['rel'] == pytest.approx(3.0 * smooth.item(), rel=1e-3)

    # Class scores and boxes, of the priors that the student's head would train towards the instances.
    assigned = positives(detector, batch, step.boxes, name)
    (scores_s, boxes_s, *_), (scores_t, boxes_t, *_) = step.raw_s, step.raw_t
    scores_t, boxes_t = (on_the_students_grid(t, s) for t, s in ((scores_t, scores_s), (boxes_t, boxes_s)))
    width = {'rpn': 1, 'ssd': 4}.get(name, 3)
    scores_s, scores_t = rows_of(scores_s, width), rows_of(scores_t, width)
    known = ~scores_t.isnan().any(dim=-1)
    assert not known.all()
    boxes_s, boxes_t = (numbers_of_boxes(h, raw, name, True) for h, raw in ((head_s, boxes_s), (head_t, boxes_t)))
    kept = assigned & known
    cls = bbox = 0.0
    for s, t, b_s, b_t in zip(scores_s[kept], scores_t[kept], boxes_s[kept], boxes_t[kept], strict=True):
        if name == 'ssd':
            cls -= (t.softmax(dim=0) * s.softmax(dim=0).log()).sum().item()
        else:
            p_s, p_t = s.sigmoid(), t.sigmoid()
            cls -= (p_t * p_s.log() + (1 - p_t) * (1 - p_s).log()).sum().item()
        bbox += (b_s - b_t).abs().sum().item()
    assert kept.sum() >= 4
    assert step.parts['cls'] == pytest.approx(0.5 * cls / kept.sum().item(), rel=1e-3)
    assert step.parts['bbox'] == pytest.approx(0.7 * bbox / kept.sum().item(), rel=1e-3)


def gradients(detector):
    return {name: p.grad.abs().sum().item() for name, p in detector.named_parameters() if p.grad is not None}


@every('fcos', 'rpn')
def test_each_part_has_its_gradient(cfgs, name):
    """Maps and the adapter; the last layer of the scores; that of the boxes. The teacher stays as it is."""
    detector = distilled(cfgs, name)
    step = Observed(detector, two_pictures())
    prefix = 'rpn_head' if name == 'rpn' else 'bbox_head'
    of_scores = [f'{prefix}.{layer}.' for layer in LAST_LAYERS if 'cls' in layer]
    of_boxes = [f'{prefix}.{layer}.' for layer in LAST_LAYERS if 'reg' in layer]

    def reached(part):
        detector.zero_grad()
        step.losses[f'gid.loss_{part}'].backward(retain_graph=True)
        found = {key for key, value in gradients(detector).items() if value > 0}
        assert all(math.isfinite(value) for value in gradients(detector).values())
        own = {
            'adapter': 'distillers.gid.features.adapter.conv.weight' in found,
            'neck': 'neck.lateral_convs.0.conv.weight' in found,
            'scores': any(key.startswith(layer) for key in found for layer in of_scores),
            'boxes': any(key.startswith(layer) for key in found for layer in of_boxes),
        }
        return {which for which, is_reached in own.items() if is_reached}

    assert reached('feat') == reached('rel') == {'adapter', 'neck'}
    assert reached('cls') == {'neck', 'scores'}
    assert reached('bbox') == {'neck', 'boxes'}
    assert all(parameter.grad is None for parameter in detector.teacher.detector.parameters())


@every('retinanet', 'gfl')
def test_a_step_makes_the_distilled_loss_smaller(cfgs, name):
    detector = distilled(cfgs, name)
    before = total(Observed(detector, two_pictures()).losses)
    before.backward()
    moved = [parameter for parameter in detector.parameters() if parameter.grad is not None]
    assert all(p.grad is not None for n, p in detector.named_parameters() if n.startswith('distillers'))
    square = sum(parameter.grad.square().sum().item() for parameter in moved)
    torch.optim.SGD(moved, lr=0.005 * before.item() / square).step()  # half a percent
    after = total(Observed(detector, two_pictures()).losses)
    assert 0.97 * before.item() < after.item() < before.item()


@every('fcos')
def test_no_truth_is_needed(cfgs, name):
    """Pictures without true boxes have instances all the same; those of the others are as they were."""
    some, none = (Observed(distilled(cfgs, name), two_pictures(counts)) for counts in ((3, 2), (0, 0)))
    assert none.parts == some.parts
    assert all(loss > 0 for loss in none.parts.values())


@every('fcos', 'rpn')
def test_without_instances_all_parts_are_zeros_in_the_graph(cfgs, name):
    detector = distilled(cfgs, name, min_size=1e3)
    step = Observed(detector, two_pictures())
    assert step.parts == dict(feat=0, rel=0, cls=0, bbox=0)
    total(step.losses).backward()
    found = gradients(detector)
    assert set(found.values()) == {0.0}
    assert {'distillers.gid.features.adapter.conv.weight', 'neck.lateral_convs.0.conv.weight'} <= found.keys()


@pytest.mark.parametrize('counts', [(1, 2), (0, 1)])
def test_few_instances_have_relations_that_are_zero(cfgs, counts, monkeypatch):
    """Of two the mean is their own distance; one has none."""
    detector = distilled(cfgs, 'retinanet')
    choose = gid_distiller.choose_instances

    @functools.wraps(choose)
    def fewer(*args):
        found = choose(*args)
        return found._replace(valid=found.valid & (torch.arange(found.valid.shape[1]) < torch.tensor(counts)[:, None]))

    monkeypatch.setattr(gid_distiller, 'choose_instances', fewer)
    few = Observed(detector, two_pictures())
    assert [len(own) for own in few.boxes] == list(counts)
    assert (few.parts['rel'] > 1e-6) == (sum(counts) > 2)
    total(few.losses).backward()
    assert all(math.isfinite(value) for value in gradients(detector).values())
    assert few.parts['feat'] > 0
    assert few.parts['cls'] > 0


@every('retinanet')
def test_a_student_that_is_its_teacher(student_cfg, name):
    """The two disagree nowhere: no distance is left, and no gradient but that of rounding."""
    if name == 'atss of gfl':
        pytest.skip('the two are of one family')
    detector = distilled((student_cfg, student_cfg), name, adapter=None)
    fix_norms(detector)
    detector.load_state_dict(detector.teacher.detector.state_dict(), strict=False)
    with torch.no_grad():
        spread(head_of(detector), 1)
    step = Observed(detector, raw_batch((3, 2)))
    assert all(len(own) > 0 for own in step.boxes)
    assert step.parts['feat'] == pytest.approx(0, abs=1e-8)
    assert step.parts['rel'] == pytest.approx(0, abs=1e-8)
    assert step.parts['bbox'] == pytest.approx(0, abs=1e-4)
    total(step.losses).backward()
    found = gradients(detector)
    scores = [found[n] for n in found if n.rpartition('.')[0].partition('.')[2] in LAST_LAYERS and 'cls' in n]
    assert max(scores) < 1e-3
    assert all(math.isfinite(value) for value in found.values())


def test_relations_of_each_picture_alone(cfgs):
    """The mean over the pairs of both; each picture has a mean distance of its own."""
    detector, across = (distilled(cfgs, 'retinanet', per_image=each) for each in (True, False))
    for each in (detector, across):
        fix_norms(each)
    both = Observed(detector, two_pictures())
    alone = [Observed(detector, {key: values[n : n + 1] for key, values in two_pictures().items()}) for n in range(2)]
    pairs = [len(own) ** 2 - len(own) for own in both.boxes]
    assert min(pairs) >= 6
    expected = sum(each.parts['rel'] * count for each, count in zip(alone, pairs, strict=True)) / sum(pairs)
    assert both.parts['rel'] == pytest.approx(expected, rel=1e-3)
    assert Observed(across, two_pictures()).parts['rel'] != pytest.approx(expected, rel=1e-2)


def test_what_is_compared_is_in_single_precision(cfgs):
    """Sums of squares over 10x10 cells of all channels overflow in half precision."""
    detector = distilled(cfgs, 'gfl')
    single = Observed(detector, two_pictures())
    losses = ('instance_feature_loss', 'instance_relation_loss', 'class_distances')
    with torch.autocast('cpu', dtype=torch.bfloat16), record_calls({n: (gid_distiller, n) for n in losses}) as calls:
        half = Observed(detector, two_pictures())
    given = [v for n in losses for v in calls[n][0].arguments.values() if isinstance(v, torch.Tensor)]
    assert {tensor.dtype for tensor in given if tensor.is_floating_point()} == {torch.float32}
    assert half.maps_s[0].dtype == half.raw_s[0][0].dtype == torch.bfloat16
    assert half.parts['feat'] != single.parts['feat']
    total(half.losses).backward()
    assert all(math.isfinite(value) for value in gradients(detector).values())


PARTS = ('feat', 'rel', 'cls', 'bbox')


def test_a_weight_of_zero_keeps_the_part_in_the_graph(cfgs):
    """As a hook may set it; the other parts stay as they are."""
    detector = distilled(cfgs, 'retinanet')
    distiller, whole = detector.distillers['gid'], Observed(detector, two_pictures()).parts
    for part in PARTS:
        given = getattr(distiller, f'{part}_weight')
        setattr(distiller, f'{part}_weight', 0.0)
        assert Observed(detector, two_pictures()).parts == pytest.approx({**whole, part: 0}, rel=1e-4)
        setattr(distiller, f'{part}_weight', given)
    distiller.feat_weight = distiller.rel_weight = 0.0
    total(Observed(detector, two_pictures()).losses).backward()
    assert distiller.features.adapter.conv.weight.grad.abs().sum() == 0
    assert distiller.is_active
    distiller.cls_weight = distiller.bbox_weight = 0.0
    assert not distiller.is_active


def test_a_weight_of_none_builds_nothing_for_the_part(cfgs):
    whole = Observed(distilled(cfgs, 'retinanet'), two_pictures()).parts
    for left_out, kinds in ((PARTS[:2], ('dense', 'dense.assign')), (PARTS[2:], ('dense', 'neck'))):
        detector = distilled(cfgs, 'retinanet', **{f'{part}_weight': None for part in left_out})
        distiller = detector.distillers['gid']
        assert distiller.kinds == kinds
        assert (distiller.features is None) == ('feat' in left_out)
        found = soft_part(losses_of(detector, two_pictures()))
        assert {name.removeprefix('gid.loss_'): loss.item() for name, loss in found.items()} == pytest.approx(
            {part: loss for part, loss in whole.items() if part not in left_out}, rel=1e-4
        )


def test_where_only_the_student_has_priors_nothing_is_compared(cfgs, monkeypatch):
    """Each prior is said to be of an instance, as few beyond the teacher's canvas would be."""
    detector = distilled(cfgs, 'retinanet')
    anchors = detector.bbox_head.num_base_priors

    def every(knowledge, boxes):
        return torch.ones_like(knowledge.dense.scores[..., 0], dtype=torch.bool)

    monkeypatch.setattr(StudentKnowledge, 'dense_assigned', every)
    step = Observed(detector, two_pictures())
    (_, boxes_s), (_, boxes_t) = step.raw_s, step.raw_t
    total_of, count = 0.0, 0
    for s, t in zip(boxes_s, boxes_t, strict=True):
        common = s[..., : t.shape[-2], : t.shape[-1]]
        total_of += (common - t).abs().sum().item()
        count += common.numel() / 4
    assert count < sum(s.numel() / 4 for s in boxes_s)
    assert count == anchors * 2 * (24 * 16 + 12 * 8 + 6 * 4 + 3 * 2 + 2 * 1)
    assert step.parts['bbox'] == pytest.approx(total_of / count, rel=1e-3)


def test_the_settings_reach_the_choice(cfgs):
    detector = distilled(
        cfgs, 'retinanet', disagreement='maximum', candidates=70, instances=3, iou_threshold=0.2, min_size=5.0
    )
    points = {name: (gid_distiller, name) for name in ('find_candidates', 'choose_instances')}
    with record_calls(points) as calls:
        losses_of(detector, two_pictures())
    (found,), (chosen,) = calls['find_candidates'], calls['choose_instances']
    assert list(found.arguments.values())[3:] == [70, 'maximum']
    assert list(chosen.arguments.values())[2:] == [3, 0.2, 5.0]


@pytest.mark.parametrize('name', ['gid', 'gid-two-stage'])
def test_the_fragments_train(student_cfg, teacher_cfg, name):
    distillers = Config.fromfile(REPO / f'configs/_base_/distillers/{name}.py').distillers
    make = faster if name == 'gid-two-stage' else retinanet
    cfg = distilled_cfg(make(student_cfg), make(teacher_cfg), None, **distillers)
    detector = build(cfg)
    losses = losses_of(detector, raw_batch((3, 2)))
    assert soft_part(losses).keys() == {f'gid.loss_{part}' for part in ('feat', 'rel', 'cls', 'bbox')}
    assert all(loss > 0 for loss in soft_part(losses).values())
    total(losses).backward()
    assert detector.distillers['gid'].features.adapter.conv.weight.grad.abs().sum() > 0
    assert len(detector.distillers['gid'].features.levels) == (4 if name == 'gid-two-stage' else 5)


def pair_of(student, teacher, **settings):
    """Two detectors as far as they are known before any weights are."""
    sides = zip(('student', 'teacher'), (student, teacher), strict=True)
    return ModelPair(*(Model(side, build(cfg, init=False), cfg.model) for side, cfg in sides), **settings)


def test_a_pair_that_does_not_fit_is_refused(student_cfg, teacher_cfg):
    other = copy.deepcopy(teacher_cfg)
    other.model.rpn_head.anchor_generator.scales = [8]
    pair = pair_of(retinanet(student_cfg), retinanet(teacher_cfg))
    options = {
        "set adapter=dict\\(type='Conv3x3Adapter'\\)": (pair, dict(adapter=None)),
        'the student does not say which anchors hold an object': (pair, dict(predictions='rpn')),
        'source must be one of backbone, neck': (pair, dict(source='memory')),
        "the student's levels have 8, 16, 32, 64 channels": (pair, dict(source='backbone')),
        'predictions must be one of': (pair, dict(predictions='roi')),
        'disagreement must be one of': (pair, dict(disagreement='mean')),
        'nothing would be distilled': (pair, dict.fromkeys(WEIGHTS)),
        'adapter cannot be used here': (pair, dict(adapter=dict(type='Conv3x3Adapter', out_channels=5))),
        'has no level 7': (pair, dict(levels=(7,))),
        'leave student_scale or it out': (dataclasses.replace(pair, student_scale=0.5), {}),
        'the priors of the student': (pair_of(retinanet(student_cfg), retinanet(other)), {}),
        'the priors of the student.* are not those of': (pair_of(student_cfg, other), dict(predictions='rpn')),
        'the student gives sigmoid scores, the teacher softmax scores': (
            pair_of(retinanet(student_cfg), ssd(teacher_cfg)),
            {},
        ),
    }
    for message, (each, given) in options.items():
        with pytest.raises(DistillationError, match=f'{message}'):
            GIDDistiller(each, **{'adapter': ADAPTER, **given})
    for given in (dict(feat_weight=-1.0), dict(instances=0), dict(iou_threshold=-0.1), dict(candidates=0)):
        (name,) = given
        with pytest.raises(ValueError, match=f'{name} must be at least'):
            GIDDistiller(pair, adapter=ADAPTER, **given)


def test_levels_go_from_the_finest_to_the_coarsest(student_cfg, teacher_cfg):
    """However they are named, and however a head orders its own."""
    pair = pair_of(retinanet(student_cfg), retinanet(teacher_cfg))
    features = GIDDistiller(pair, adapter=ADAPTER, levels=(3, 1, 2), teacher_levels=(3, 1, 2)).features
    assert features.levels == [(1, 1), (2, 2), (3, 3)]
    assert features.strides == [(8, 8), (16, 16), (32, 32)]


def test_a_head_that_assigns_by_its_predictions_is_compared_on_maps_alone(student_cfg, teacher_cfg):
    pair = pair_of(tood(student_cfg), tood(teacher_cfg))
    with pytest.raises(
        DistillationError, match='TOODHead does not say which priors it would train towards other boxes'
    ):
        GIDDistiller(pair, adapter=ADAPTER)
    assert GIDDistiller(pair, adapter=ADAPTER, cls_weight=None, bbox_weight=None).parts == ('feat', 'rel')
