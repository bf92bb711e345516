"""CrossKD against a computation by hand in double precision, on real tiny detectors."""

import copy
import math
from importlib.util import find_spec

import pytest
import torch
from helpers.crossed import crossed_by_hand
from helpers.distil import AS_ALONE, build, distilled_cfg, losses_of, raw_batch, save_teacher, soft_part, total
from helpers.one_stage import ONE_STAGE, atss, fcos, gfl, retinanet, ssd
from helpers.point_heads import POINT_HEADS, autoassign
from helpers.two_heads import fix_norms, on_the_students_grid, spread, two_pictures
from mmdet.structures.bbox import distance2bbox
from torch.nn.functional import logsigmoid

from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import DenseView, find_view, known_heads, rows_of
from mmdet_kd.knowledge import observe_student, record_calls

WIDTH = 8
GFL = dict(type='CrossKDDistiller', depth=2, boxes='distributions', bbox_weight=4.0)
RETINANET = dict(type='CrossKDDistiller', depth=2)
ATSS = dict(RETINANET, quality_weight=2.0)
FCOS = dict(RETINANET, boxes='log iou', divisor='centerness', cls_weight=0.4, bbox_weight=0.75)
EACH = dict(gfl=(GFL, gfl), retinanet=(RETINANET, retinanet), atss=(ATSS, atss), fcos=(FCOS, fcos))
every = pytest.mark.parametrize(
    'name', [name if name == 'gfl' else pytest.param(name, marks=pytest.mark.slow) for name in EACH]
)


@pytest.fixture
def cfgs(student_cfg, teacher_cfg):
    """The student pads its pictures to more than the teacher has."""
    student_cfg.model.data_preprocessor.pad_size_divisor = 64
    return student_cfg, teacher_cfg


def with_towers(cfg, family, width=WIDTH, convs=3, **head):
    cfg = family(cfg)
    cfg.model.bbox_head.update(stacked_convs=convs, feat_channels=width, **head)
    return cfg


def pair_cfg(cfgs, distiller, family, of_teacher=None, **student):
    """Of GFL, norms are as in mmdet's configs."""
    of_both = dict(norm_cfg=dict(type='GN', num_groups=2)) if family is gfl else {}
    cfg_s = with_towers(cfgs[0], family, **{**of_both, **student})
    cfg_t = with_towers(cfgs[1], of_teacher or family, **of_both)
    cfg = distilled_cfg(cfg_s, cfg_t, None, kd=distiller)
    cfg.model.teacher.update(AS_ALONE)
    return cfg


def spread_towers(head, seed):
    """Have a head say something else of each place, and have its towers pass on what they get."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if '_convs.' in name:
                scale = 0.12 if name.endswith('weight') and parameter.dim() == 4 else 0.5
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(scale * noise + ('.gn.weight' in name))
            elif 'centerness' in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
        for level, scale in enumerate(getattr(head, 'scales', [])):
            scale.scale.fill_(0.7 + 0.1 * level)
    spread(head, seed)


def distilled(cfgs, distiller, family, of_teacher=None, **student):
    detector = build(pair_cfg(cfgs, distiller, family, of_teacher, **student))
    for seed, side in enumerate((detector, detector.teacher.detector)):
        spread_towers(side.bbox_head, seed)
    return detector


class Observed:
    """A step: its losses, what the student is trained towards, and both predictions of the teacher's head."""

    def __init__(self, detector, batch, depth, align):
        head_s, head_t = detector.bbox_head, detector.teacher.detector.bbox_head
        points = {'s': (head_s, 'forward'), 't': (head_t, 'forward'), 'targets': (head_s, 'get_targets')}
        with record_calls(points) as calls:
            self.losses = soft_part(losses_of(detector, batch))
        own, *_ = calls['t']  # the next is the crossed one
        (x_s,), (x_t,) = (calls[name][0].arguments.values() for name in 'st')
        crossed, self.copy_of_student = crossed_by_hand(head_s, x_s, head_t, x_t, depth, align)
        images, kind = len(x_s[0]), type(head_s).__name__
        width = 4 * (getattr(head_t, 'reg_max', 0) + 1)
        filled = [on_the_students_grid(t, s) for t, s in zip(own.result, crossed, strict=True)]
        widths = 3, width, 1
        self.crossed = [rows_of(maps, n) for maps, n in zip(crossed, widths, strict=False)]
        self.own = [rows_of(maps, n).double() for maps, n in zip(filled, widths, strict=False)]
        self.known = ~self.own[0].isnan().any(dim=-1)
        assert not self.known.all()
        self.own = [rows.nan_to_num() for rows in self.own]
        targets = calls['targets'][0].result
        at = 1 if kind in ('GFLHead', 'ATSSHead') else 0
        self.labels = torch.cat([level.view(images, -1) for level in targets[at]], dim=1)
        weights = torch.ones_like(self.labels)
        if kind != 'FCOSHead':
            weights = torch.cat([level.view(images, -1) for level in targets[at + 1]], dim=1)
        self.weights = weights.double()
        self.positive = (self.labels >= 0) & (self.labels < 3)
        assert self.positive.any() == any(len(sample.gt_instances) for sample in batch['data_samples'])
        sizes = [level.shape[-2:] for level in crossed[0]]
        self.priors = torch.cat(head_s.prior_generator.grid_priors(sizes, device='cpu')).double()
        self.head_t = copy.deepcopy(head_t).double()
        self.centerness = 0.0
        if kind == 'FCOSHead':
            sides = torch.cat([level.view(images, -1, 4) for level in targets[1]], dim=1)[self.positive]
            for left, top, right, bottom in sides.tolist():
                x, y = (left, right), (top, bottom)
                self.centerness += math.sqrt(min(x) / max(x) * min(y) / max(y))

    def overlaps(self, which):
        """Of the two boxes of each prior (N, M)."""
        found = []
        for image in range(len(self.labels)):
            if type(self.head_t).__name__ == 'FCOSHead':
                boxes = [distance2bbox(self.priors, rows[1][image]) for rows in (self.crossed, self.own)]
            else:
                decode = self.head_t.bbox_coder.decode
                boxes = [decode(self.priors, rows[1][image]) for rows in (self.crossed, self.own)]
            found.append(overlap(*boxes, which))
        return torch.stack(found)

    def expected(self, cfg):
        """The losses of the formula."""
        p, q = self.crossed[0].sigmoid(), self.own[0].sigmoid()
        towards = cross_entropy(self.crossed[0], q)
        kept = self.known
        rows = ((p - q).abs() ** cfg.get('beta', 1.0) * towards).sum(dim=-1)
        divisor = max(self.centerness if cfg.get('divisor') == 'centerness' else self.positive.sum().item(), 1)
        losses = dict(cls=cfg.get('cls_weight', 1.0) * (rows * self.weights)[kept].sum() / divisor)
        share = q.amax(dim=-1) * (self.weights > 0)
        if cfg.get('boxes') == 'distributions':
            logs_s, logs_t = (each[1].unflatten(-1, (4, -1)).log_softmax(dim=-1) for each in (self.crossed, self.own))
            distance = (logs_t.exp() * (logs_t - logs_s)).sum(dim=-1).mean(dim=-1)
            divisor_of_boxes = max(share[kept].sum().item(), 1)
        else:
            shared = self.overlaps('iou' if cfg.get('boxes') == 'log iou' else 'giou')
            distance = -shared.clamp(min=1e-6).log() if cfg.get('boxes') == 'log iou' else 1 - shared
            divisor_of_boxes = divisor
        losses['bbox'] = cfg.get('bbox_weight', 1.0) * (distance * share)[kept].sum() / divisor_of_boxes
        if 'quality_weight' in cfg:
            entropy = cross_entropy(self.crossed[2], self.own[2].sigmoid())[..., 0]
            chosen = kept & self.positive & (self.weights > 0)
            losses['quality'] = cfg['quality_weight'] * entropy[chosen].sum() / divisor
        return losses


def cross_entropy(logits, towards):
    """Of yes-or-no distributions."""
    return -(towards * logsigmoid(logits) + (1 - towards) * logsigmoid(-logits))


def overlap(first, second, which):
    """IoU or generalised IoU of pairs of boxes."""

    def area(boxes):
        return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    upper, lower = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (lower - upper).clamp(min=0).prod(dim=1)
    union = area(first) + area(second) - shared
    around = torch.cat([torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:])], dim=1)
    return shared / union - (1 - union / area(around) if which == 'giou' else 0)


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('gfl', {}),
        *(
            pytest.param(name, changes, marks=pytest.mark.slow)
            for name, changes in (
                ('gfl', dict(align=False, beta=0.0)),
                ('retinanet', dict(beta=2.0, cls_weight=0.5, bbox_weight=3.0)),
                ('retinanet', dict(depth=3, boxes='log iou')),
                ('atss', dict(depth=1)),
                ('fcos', {}),
                ('fcos', dict(quality_weight=1.0, divisor='positives', align=False)),
            )
        ),
    ],
)
def test_values_and_gradients_are_those_of_the_formula(cfgs, name, changes):
    distiller, family = EACH[name]
    cfg = {**distiller, **changes}
    detector = distilled(cfgs, cfg, family)
    step = Observed(detector, two_pictures(), cfg['depth'], cfg.get('align', True))
    expected = step.expected(cfg)
    found = {part.removeprefix('kd.loss_'): loss for part, loss in step.losses.items()}
    assert found.keys() == expected.keys()
    by_name = dict(detector.bbox_head.named_parameters())
    own = {n: p for n, p in step.copy_of_student.named_parameters() if '_convs.' in n}
    for part, loss in found.items():
        assert loss.item() == pytest.approx(expected[part].item(), rel=1e-3), part
        wanted = torch.autograd.grad(expected[part], list(own.values()), allow_unused=True, retain_graph=True)
        got = torch.autograd.grad(loss, [by_name[n] for n in own], allow_unused=True, retain_graph=True)
        assert any(each is not None for each in wanted)
        steepest = max(each.abs().max() for each in wanted if each is not None)
        for n, a, b in zip(own, got, wanted, strict=True):
            assert (a is None) == (b is None), (part, n)
            if a is not None:
                torch.testing.assert_close(a.double(), b, rtol=1e-2, atol=1e-3 * steepest.item(), msg=f'{part}, {n}')


@every
def test_the_teacher_teaches_what_comes_before_the_maps_alone(cfgs, name):
    distiller, family = EACH[name]
    detector = distilled(cfgs, distiller, family)
    before = {key: value.clone() for key, value in detector.teacher.detector.state_dict().items()}
    total(soft_part(losses_of(detector, two_pictures()))).backward()
    reached = {n for n, p in detector.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    of_head = {n.rpartition('.conv.')[0] for n in reached if n.startswith('bbox_head.') and '.conv.' in n}
    assert of_head == {f'bbox_head.{tower}_convs.{n}' for tower in ('cls', 'reg') for n in (0, 1)}
    assert 'neck.lateral_convs.0.conv.weight' in reached
    teacher = detector.teacher.detector
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


@pytest.mark.slow
def test_the_statistics_of_the_teachers_norms_stay(cfgs):
    """Batch norm of the teacher's head sees the student's maps, and notes nothing of them."""
    norm = dict(norm_cfg=dict(type='BN'))
    detector = build(
        distilled_cfg(
            with_towers(cfgs[0], retinanet, **norm), with_towers(cfgs[1], retinanet, **norm), None, kd=RETINANET
        )
    )
    before = {key: value.clone() for key, value in detector.teacher.detector.state_dict().items()}
    total(losses_of(detector, two_pictures())).backward()
    after = detector.teacher.detector.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in after.items())
    assert not any(module.training for module in detector.teacher.modules())


@every
@pytest.mark.parametrize('align', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_student_that_is_its_teacher(student_cfg, name, align):
    """Scores and boxes are at 0, the quality at the entropy of the teacher's, and nothing has a gradient.

    Unaligned, the crossed predictions are the teacher's own to the bit. Aligned, they are up to rounding: there the
    gradients of the scores and of the IoU, which jump where both agree, have either sign.
    """
    distiller, family = EACH[name]
    distiller = dict(distiller, align=align)
    detector = distilled((student_cfg, student_cfg), distiller, family)
    fix_norms(detector)
    detector.load_state_dict(detector.teacher.detector.state_dict(), strict=False)
    losses = soft_part(losses_of(detector, raw_batch((3, 2))))
    quality = losses.pop('kd.loss_quality', None)
    assert total(losses).item() == pytest.approx(0, abs=1e-6 if not align else 1e-3)
    parameters = [p for p in detector.parameters() if p.requires_grad]
    smooth = total(losses) if not align else losses['kd.loss_bbox'] * (distiller.get('boxes') == 'distributions')
    gradients = torch.autograd.grad(smooth, parameters, allow_unused=True, retain_graph=True)
    assert max(g.abs().max().item() for g in gradients if g is not None) < 1e-3
    if quality is not None and not align:
        gradients = torch.autograd.grad(quality, parameters, allow_unused=True)
        assert max(g.abs().max().item() for g in gradients if g is not None) < 1e-5
        assert quality.item() > 0


@every
def test_without_truth_all_parts_are_finite_and_attached(cfgs, name):
    """Divided by 1; the quality, which is that of positive priors, is 0."""
    distiller, family = EACH[name]
    detector = distilled(cfgs, distiller, family)
    step = Observed(detector, two_pictures((0, 0)), 2, align=True)
    for part, expected in step.expected(distiller).items():
        loss = step.losses[f'kd.loss_{part}']
        assert loss.requires_grad
        assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
        assert (loss.item() == 0) == (part == 'quality')
    total(step.losses).backward()
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)


def test_a_teacher_of_more_classes_teaches_those_of_the_student(cfgs, tmp_path):
    names = ('star', 'triangle', 'circle', 'moon', 'square')
    teacher = with_towers(cfgs[1], retinanet, num_classes=len(names))
    checkpoint = save_teacher(teacher, tmp_path / 'teacher.pth', dataset_meta={'classes': names})
    cfg = distilled_cfg(with_towers(cfgs[0], retinanet), teacher, checkpoint, kd=RETINANET)
    cfg.model.teacher.update(AS_ALONE, classes_by_name=True)
    detector = build(cfg)
    for seed, head in enumerate((detector.bbox_head, detector.teacher.detector.bbox_head)):
        spread_towers(head, seed)
    for name, loss in soft_part(losses_of(detector, two_pictures())).items():
        detector.zero_grad()
        loss.backward(retain_graph=True)
        tower = detector.bbox_head.cls_convs if name == 'kd.loss_cls' else detector.bbox_head.reg_convs
        assert tower[0].conv.weight.grad.any(), name


@pytest.mark.slow
def test_another_width_needs_an_adapter_which_learns(cfgs):
    with pytest.raises(
        DistillationError, match="6 channels for the classes and 6 for the boxes, the teacher's 8 and 8"
    ):
        distilled(cfgs, RETINANET, retinanet, width=6)
    detector = distilled(cfgs, dict(RETINANET, adapter=dict(type='ConvAdapter')), retinanet, width=6)
    names = {n for n, _ in detector.named_parameters() if n.startswith('distillers.kd.tower_adapters.')}
    assert len(names) == 4
    losses = soft_part(losses_of(detector, two_pictures()))
    for part, tower in (('cls', 0), ('bbox', 1)):
        detector.zero_grad()
        losses[f'kd.loss_{part}'].backward(retain_graph=True)
        moved = {n for n, p in detector.named_parameters() if n in names and p.grad is not None and p.grad.any()}
        # what an adapter adds to all places alike is taken away where maps are aligned
        assert moved >= {f'distillers.kd.tower_adapters.{tower}.conv.weight'}
        assert not any(n.startswith(f'distillers.kd.tower_adapters.{1 - tower}.') for n in moved)


@pytest.mark.slow
def test_the_students_own_losses_are_those_without_it(cfgs):
    detector = distilled(cfgs, GFL, gfl)
    alone = build(with_towers(cfgs[0], gfl, norm_cfg=dict(type='GN', num_groups=2)))
    alone.load_state_dict({k: v for k, v in detector.state_dict().items() if not k.startswith('distillers.')})
    expected, found = (losses_of(each, two_pictures()) for each in (alone, detector))
    for key, loss in expected.items():
        assert all(torch.equal(a, b) for a, b in zip(loss, found[key], strict=True)), key


@pytest.mark.slow
def test_a_second_distiller_finds_the_same_maps(cfgs):
    """The teacher's activations write over what they get, unaligned maps too; and each depth is recorded by itself."""
    cfg = pair_cfg(cfgs, dict(RETINANET, align=False), retinanet)
    cfg.model.distillers.again = dict(RETINANET, align=False)
    cfg.model.distillers.later = dict(RETINANET, depth=3)
    losses = soft_part(losses_of(build(cfg), two_pictures()))
    for part in ('cls', 'bbox'):
        assert losses[f'kd.loss_{part}'].item() == losses[f'again.loss_{part}'].item()
        assert losses[f'kd.loss_{part}'].item() != losses[f'later.loss_{part}'].item()


@pytest.mark.slow
def test_losses_are_in_single_precision_under_autocast(cfgs):
    detector = distilled(cfgs, GFL, gfl)
    expected = {key: loss.item() for key, loss in soft_part(losses_of(detector, two_pictures())).items()}
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = soft_part(losses_of(detector, two_pictures()))
    for key, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(expected[key], rel=0.1), key
    total(losses).backward()
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)


@pytest.mark.slow
def test_a_head_that_was_compiled_is_run_as_it_is(cfgs):
    """Each step would compile it anew."""
    detector, compiled = distilled(cfgs, RETINANET, retinanet), []

    def backend(graph, inputs):
        compiled.append(inputs)
        return graph.forward

    expected = total(soft_part(losses_of(detector, two_pictures()))).item()
    detector.teacher.detector.bbox_head.compile(backend=backend)
    assert total(soft_part(losses_of(detector, two_pictures()))).item() == expected
    assert not compiled


@pytest.mark.parametrize(
    ('distiller', 'family', 'of_teacher', 'message'),
    [
        (RETINANET, ssd, ssd, "the student's SSDHead does not say what its maps are between the convolutions"),
        (dict(RETINANET, depth=0), retinanet, retinanet, 'depth is 0, and .* it must lie in 1..3'),
        (dict(RETINANET, depth=4), retinanet, retinanet, 'depth is 4, and .* it must lie in 1..3'),
        (RETINANET, fcos, atss, "CrossKDDistiller: the priors of the student's FCOSHead"),
        (GFL, retinanet, retinanet, "the teacher's RetinaHead does not say a distribution"),
        (ATSS, retinanet, retinanet, "the teacher's RetinaHead does not say how good each box is"),
        (FCOS, gfl, gfl, "the student's GFLHead does not say the centerness .* its losses are not divided by one"),
        (dict(RETINANET, boxes='iou'), retinanet, retinanet, 'boxes must be one of'),
        (dict(RETINANET, divisor='none'), retinanet, retinanet, 'divisor must be one of'),
        (dict(RETINANET, adapter=dict(type='ConvAdapter', out_channels=5)), retinanet, retinanet, 'adapter cannot be'),
        (dict(RETINANET, cls_weight=-1.0), retinanet, retinanet, 'cls_weight must be at least 0'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(cfgs, distiller, family, of_teacher, message):
    cfg = distilled_cfg(family(cfgs[0]), (of_teacher or family)(cfgs[1]), None, kd=distiller)
    for side in (cfg.model, cfg.model.teacher.config.model):
        if family is not ssd:
            side.bbox_head.update(stacked_convs=3, feat_channels=WIDTH)
    with pytest.raises(DistillationError, match=message):
        build(cfg, init=False)


def test_a_head_without_convolutions_before_the_last_ones(cfgs):
    with pytest.raises(DistillationError, match=r'no convolutions before the last ones \(stacked_convs=0\)'):
        build(pair_cfg(cfgs, RETINANET, retinanet, convs=0), init=False)


#: Heads whose towers are known, as far as a step can be trained here.
SERVED = {
    'GFLHead',
    'LDHead',
    'RetinaHead',
    'PISARetinaHead',
    'ATSSHead',
    'PAAHead',
    'LADHead',
    'FCOSHead',
    'NASFCOSHead',
}


def test_which_heads_have_towers():
    views = {head.__name__: view for head, view in known_heads().items() if issubclass(view, DenseView)}
    assert {name for name, view in views.items() if 'towers' not in view.cannot} == SERVED
    divided = {name for name, view in views.items() if 'centerness' not in view.cannot}
    assert divided == {'FCOSHead', 'NASFCOSHead', 'CondInstBboxHead', 'BoxInstBboxHead', 'ATSSHead'}


def _as(kind, family):
    def make(cfg):
        cfg = family(cfg)
        cfg.model.bbox_head.type = kind
        return cfg

    return make


def _paa(cfg):
    cfg = atss(cfg)
    cfg.model.type = 'PAA'
    cfg.model.bbox_head.update(type='PAAHead', reg_decoded_bbox=True, loss_bbox=dict(type='GIoULoss'))
    cfg.model.train_cfg.assigner = dict(type='MaxIoUAssigner', pos_iou_thr=0.1, neg_iou_thr=0.1, min_pos_iou=0)
    return cfg


MORE = {
    'paa': (_paa, ATSS),
    'pisa': (_as('PISARetinaHead', retinanet), RETINANET),
    'fcos_in_strides': (POINT_HEADS['fcos_in_strides'], dict(FCOS, depth=1)),
    'nasfcos': (POINT_HEADS['nasfcos'], dict(FCOS, depth=1)),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', MORE)
def test_other_heads_with_such_towers_train(cfgs, name):
    if name == 'paa' and find_spec('sklearn') is None:
        pytest.skip('PAA needs scikit-learn')
    family, distiller = MORE[name]
    cfg_s, cfg_t = (family(cfg) for cfg in cfgs)
    for cfg in (cfg_s, cfg_t):
        cfg.model.bbox_head.update(feat_channels=WIDTH, **({} if name == 'nasfcos' else dict(stacked_convs=3)))
    detector = build(distilled_cfg(cfg_s, cfg_t, None, kd=distiller))
    losses = losses_of(detector, two_pictures())
    total(losses).backward()
    assert all(math.isfinite(loss.item()) and loss.requires_grad for loss in soft_part(losses).values())
    assert detector.bbox_head.cls_convs[0].conv.weight.grad.any()


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted({*POINT_HEADS, 'autoassign'} - set(MORE)))
def test_other_heads_are_refused(cfgs, name):
    family = POINT_HEADS.get(name, autoassign)
    with pytest.raises(DistillationError, match='do not each go through a plain tower of convolutions'):
        build(distilled_cfg(family(cfgs[0]), family(cfgs[1]), None, kd=RETINANET), init=False)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['fcos', 'fcos_in_strides', 'atss'])
def test_the_centerness_is_that_of_the_heads_own_divisor(cfgs, name):
    """Its boxes' loss, which is told the divisor, is the only one of mmdet's that shows it."""
    family = {**ONE_STAGE, **POINT_HEADS}[name]
    detector = build(family(cfgs[0]))
    view = find_view(detector.bbox_head, DenseView)
    data = detector.data_preprocessor(two_pictures(), training=True)
    with (
        observe_student(detector, ('dense', 'dense.centerness')) as student,
        record_calls({'loss': (detector.bbox_head.loss_bbox, 'forward')}) as calls,
    ):
        detector.loss(data['inputs'], data['data_samples'])
        weights = sum(call.arguments['weight'].sum().item() for call in calls['loss'])
        assert view.why_not('centerness') is None
        assert student.dense_centerness.item() == pytest.approx(weights, rel=1e-5)
        assert weights > 0
