"""What a classifier teaches, against the formulas of DICOD written out for single boxes."""

import copy
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from helpers.architectures import cascade, faster
from helpers.classifier import KD_LOC, classifier_of, kd_cls, taught_by_classifier
from helpers.distil import build, losses_of, raw_batch, soft_part, step_of, taught, total
from helpers.one_stage import ONE_STAGE, retinanet, ssd
from mmengine.structures import InstanceData

from mmdet_kd.distillers.positives import DensePositives, Positives, RoIPositives
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import ClassifierKnowledge, Truth, observe_student

SIGMOID = {'faster': False, 'cascade': False, 'ssd': False, 'retinanet': True, 'fcos': True, 'gfl': True, 'atss': True}
ARCHITECTURES = {'faster': faster, 'cascade': cascade, **ONE_STAGE}


def crop(image, box, size):
    """One box of one picture (3, H, W) by the paper's affine map, without anything of ours."""
    height, width = image.shape[-2:]
    x1, y1, x2, y2 = box
    theta = torch.stack(
        [
            torch.stack([(x2 - x1) / width, torch.zeros_like(x1), -1 + (x1 + x2) / width]),
            torch.stack([torch.zeros_like(x1), (y2 - y1) / height, -1 + (y1 + y2) / height]),
        ]
    )
    grid = F.affine_grid(theta[None], [1, 3, size, size], align_corners=False)
    return F.grid_sample(image[None], grid, align_corners=False, padding_mode='border')


class Observed:
    """One step of a detector: what its distillers saw."""

    def __init__(self, detector, batch):
        data = detector.data_preprocessor(copy.deepcopy(batch), training=True)
        self.images = data['inputs']
        self.boxes = torch.cat([s.gt_instances.bboxes for s in data['data_samples']])
        self.picture = [i for i, s in enumerate(data['data_samples']) for _ in range(len(s.gt_instances))]
        kinds = {kind for distiller in detector.distillers.values() for kind in distiller.kinds}
        torch.manual_seed(0)
        with observe_student(detector, kinds) as student:
            super(type(detector).__mro__[1], detector).loss(data['inputs'], data['data_samples'])
            self.knowledge = taught(detector, data)
            distiller = next(iter(detector.distillers.values()))
            step = step_of(data, self.knowledge)
            self.stages = list(distiller._positives(student, step.truth))
            self.losses = {name: d(student, self.knowledge, step) for name, d in detector.distillers.items()}


@pytest.mark.parametrize('name', ['cascade', 'retinanet'])
def test_positives_are_found_once_a_step_for_all_that_ask(student_cfg, name, monkeypatch):
    found = []
    for finder in (RoIPositives, DensePositives):

        def find(self, *sides, original=finder._find):
            found.append(1)
            return original(self, *sides)

        monkeypatch.setattr(finder, '_find', find)
    both = dict(kd_cls=kd_cls(SIGMOID[name]), kd_loc=KD_LOC)
    detector = build(taught_by_classifier(ARCHITECTURES[name](student_cfg), **both))
    for step in (1, 2):
        losses_of(detector, raw_batch())
        assert len(found) == step


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_kd_cls_by_hand(student_cfg, name):
    detector = build(taught_by_classifier(ARCHITECTURES[name](student_cfg), kd_cls=kd_cls(SIGMOID[name])))
    seen, classifier = Observed(detector, raw_batch((2, 1))), detector.teacher.model
    expected = 0.0
    for stage, weight in zip(seen.stages, [1, 0.5, 0.25], strict=False):
        rows = []
        for z_s, truth in zip(stage.logits.tolist(), stage.truth.tolist(), strict=True):
            crops = crop(seen.images[seen.picture[truth]], seen.boxes[truth], 32)
            maps = classifier.backbone(crops)[-1]
            z_t = (classifier.fc.weight @ maps.mean(dim=(2, 3))[0] + classifier.fc.bias).tolist()
            rows.append(bernoulli(z_s, z_t) if SIGMOID[name] else softmax_with_background(z_s, z_t))
        expected += weight * 0.4 * sum(rows) / len(rows)
    assert seen.losses['kd_cls']['cls'].item() == pytest.approx(expected, rel=1e-3)


def softmax_with_background(z_s, z_t, temperature=2.0):
    """T^2 KL([softmax(z_t / T), 0] || softmax(z_s / T))."""
    p_t = [math.exp(z / temperature) / sum(math.exp(y / temperature) for y in z_t) for z in z_t]
    p_s = [math.exp(z / temperature) / sum(math.exp(y / temperature) for y in z_s) for z in z_s]
    return temperature**2 * sum(t * math.log(t / s) for t, s in zip(p_t, p_s[:-1], strict=True))


def bernoulli(z_s, z_t, temperature=2.0):
    """T^2 times the mean over the classes of the divergence of two yes-or-no distributions."""
    p_t, p_s = ([1 / (1 + math.exp(-z / temperature)) for z in row] for row in (z_t, z_s))
    rows = [t * math.log(t / s) + (1 - t) * math.log((1 - t) / (1 - s)) for t, s in zip(p_t, p_s, strict=True)]
    return temperature**2 * sum(rows) / len(rows)


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_kd_loc_by_hand(student_cfg, name):
    detector = build(taught_by_classifier(ARCHITECTURES[name](student_cfg)))
    seen = Observed(detector, raw_batch((2, 1)))
    backbone, expected = detector.teacher.model.backbone, 0.0
    for stage, weight in zip(seen.stages, [1, 0.5, 0.25], strict=False):
        rows = []
        for predicted, truth in zip(stage.boxes.detach(), stage.truth.tolist(), strict=True):
            image = seen.images[seen.picture[truth]]
            ours, theirs = crop(image, inside(predicted, image), 32), crop(image, seen.boxes[truth], 32)
            pixels = distance(ours, theirs, 4)
            stem = [backbone.maxpool(F.relu(backbone.norm1(backbone.conv1(each)))) for each in (ours, theirs)]
            rows.append(57 * pixels + distance(*stem, 8))
        expected += weight * 0.15 * sum(rows) / len(rows)
    assert seen.losses['kd_loc']['loc'].item() == pytest.approx(float(expected), rel=1e-3)


def inside(box, image):
    """A box within its picture, of a pixel at least."""
    height, width = image.shape[-2:]
    x1, y1 = box[0].clamp(0, width - 1), box[1].clamp(0, height - 1)
    x2, y2 = torch.maximum(box[2].clamp(max=width), x1 + 1), torch.maximum(box[3].clamp(max=height), y1 + 1)
    return torch.stack([x1, y1, x2, y2])


def distance(ours, theirs, size):
    """|| AP(a) - AP(b) ||_1 / (M H W)."""
    a, b = (F.adaptive_avg_pool2d(each, size)[0] for each in (ours, theirs))
    return (a - b).abs().sum().item() / a.numel()


def as_list(tensors):
    return [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)


class TestTheGradientOfKdLoc:
    @pytest.mark.parametrize('name', ARCHITECTURES)
    def test_it_reaches_the_regression_and_nothing_else(self, student_cfg, name):
        """Of all that the head returns, and all that the classifier holds, the deltas of positives alone move it."""
        detector = build(taught_by_classifier(ARCHITECTURES[name](student_cfg)))
        heads = getattr(detector, 'roi_head', detector).bbox_head
        outputs = []
        for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
            head.register_forward_hook(lambda _, args, result: outputs.append((args, result)))
        images = []
        detector.backbone.register_forward_pre_hook(lambda _, args: images.append(args[0].requires_grad_()) or args)
        loss = losses_of(detector, raw_batch((3, 2)))['kd_loc.loss_loc']
        held = list(detector.teacher.model.parameters())
        assert not any(p.requires_grad for p in held)
        scores, regressions, *others = ([r[i] for _, r in outputs if i < len(r)] for i in range(3))
        flat = [tensor for each in (*scores, *itertools.chain(*others)) for tensor in as_list(each)]
        assert flat
        assert all(g is None for g in torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True))
        deltas = [tensor for each in regressions for tensor in as_list(each)]
        slopes = torch.autograd.grad(loss, deltas, retain_graph=True, materialize_grads=True)
        assert any(slope.any() for slope in slopes)
        # Whatever else of the student it moves, it moves through its regressions.
        through = torch.autograd.grad(deltas, images, slopes, retain_graph=True)
        torch.testing.assert_close(through, torch.autograd.grad(loss, images))

    def test_against_finite_differences_on_the_box(self, student_cfg):
        detector = build(taught_by_classifier(faster(student_cfg)))
        seen = Observed(detector, raw_batch((3, 2)))
        truth = Truth(*([each.double() for each in part] for part in seen.knowledge.truth))
        knowledge = ClassifierKnowledge(detector.teacher.model.double(), seen.images.double(), truth, chunk=4)
        detector.distillers['kd_loc'].double()
        stage = seen.stages[0]
        boxes = stage.boxes.detach()[:6].double()
        counts = [min(6, stage.counts[0]), max(0, 6 - stage.counts[0])]
        assert sum(counts) == 6

        def loss(moved):
            student = Positives(None, moved, stage.truth[:6], counts, 1.0)
            distiller = detector.distillers['kd_loc']
            known = SimpleNamespace(_positives=lambda *_: [student])
            return loc_of(distiller, known, knowledge)

        moved = boxes.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(moved), moved)
        assert gradient.abs().max() > 0
        step, checked = 1e-5, 0
        for row in range(6):
            for column in range(4):
                shift = torch.zeros_like(boxes)
                shift[row, column] = step
                slopes = [float(loss(boxes + s * shift) - loss(boxes)) / (s * step) for s in (1, -1)]
                if abs(slopes[0] - slopes[1]) > 1e-3 * (1 + abs(slopes[0])):
                    continue  # a corner of | |, of ReLU or of the bilinear kernel lies within the step
                checked += 1
                assert gradient[row, column].item() == pytest.approx(sum(slopes) / 2, rel=2e-2, abs=2e-4)
        assert checked >= 12


def loc_of(distiller, student, knowledge):
    """KD-loc of given positives."""
    find = distiller._positives
    distiller._positives = student._positives
    try:
        return distiller(None, knowledge, SimpleNamespace(truth=knowledge.truth))['loc']
    finally:
        distiller._positives = find


class TestMemory:
    def saved(self, student_cfg, chunk, proposals):
        """Bytes that the forward pass of KD-loc keeps for the backward one."""
        student_cfg.model.train_cfg.rcnn.sampler.update(num=proposals, pos_fraction=1.0)
        student_cfg.model.train_cfg.rcnn.assigner.update(pos_iou_thr=0.01, neg_iou_thr=0.01, min_pos_iou=0.01)
        cfg = taught_by_classifier(faster(student_cfg))
        cfg.model.teacher.chunk = chunk
        detector, kept = build(cfg), []
        distiller = detector.distillers['kd_loc']
        forward, counts = distiller.forward, []

        def counting(student, knowledge, step):
            with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
                result = forward(student, knowledge, step)
            counts.extend(len(stage.truth) for stage in distiller._positives(student, step.truth))
            return result

        distiller.forward = counting
        losses_of(detector, raw_batch((3, 3)))
        return sum(kept), counts[0]

    def test_it_does_not_grow_with_the_positives(self, student_cfg):
        few, some = self.saved(copy.deepcopy(student_cfg), 4, 4)
        many, more = self.saved(copy.deepcopy(student_cfg), 4, 64)
        assert more >= 4 * some
        a_crop = 3 * 32 * 32 * 4
        assert many - few < (more - some) * a_crop / 10  # the boxes, and what they are decoded from

    @pytest.mark.parametrize('chunk', [1, 3, 1000])
    def test_the_chunk_changes_nothing(self, student_cfg, chunk):
        values = []
        for each in (256, chunk):
            cfg = taught_by_classifier(faster(student_cfg), kd_cls=kd_cls(), kd_loc=KD_LOC)
            cfg.model.teacher.chunk = each
            detector = build(cfg)
            losses = soft_part(losses_of(detector, raw_batch((3, 2))))
            sum(losses.values()).backward()
            gradient = detector.roi_head.bbox_head.fc_reg.weight.grad
            values.append((losses, gradient))
        torch.testing.assert_close(*values, rtol=1e-4, atol=1e-6)


class TestEveryBatchTrains:
    @pytest.mark.parametrize('name', ARCHITECTURES)
    @pytest.mark.parametrize('boxes', [(0, 0), (2, 0)])
    def test_without_boxes(self, student_cfg, name, boxes):
        cfg = taught_by_classifier(ARCHITECTURES[name](student_cfg), kd_cls=kd_cls(SIGMOID[name]), kd_loc=KD_LOC)
        detector = build(cfg)
        losses = losses_of(detector, raw_batch(boxes))
        soft = soft_part(losses)
        assert soft.keys() == {'kd_cls.loss_cls', 'kd_loc.loss_loc'}
        assert all(loss.requires_grad and (loss > 0) == any(boxes) for loss in soft.values())
        total(losses).backward()
        assert all(p.grad is not None for p in detector.parameters() if p.requires_grad)

    @pytest.mark.parametrize('name', ['faster', 'retinanet', 'fcos'])
    @pytest.mark.parametrize(
        'box',
        [[5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 5.2, 40.0], [60.0, 60.0, 90.0, 90.0], [100.0, 100.0, 120.0, 120.0]],
        ids=['degenerate', 'tiny', 'partly in the padding', 'outside'],
    )
    def test_odd_boxes(self, student_cfg, name, box):
        cfg = taught_by_classifier(ARCHITECTURES[name](student_cfg), kd_cls=kd_cls(SIGMOID[name]), kd_loc=KD_LOC)
        detector = build(cfg)
        batch = raw_batch((2, 1), size=72)
        batch['data_samples'][0].gt_instances.bboxes[0] = torch.tensor(box)
        losses = soft_part(losses_of(detector, batch))
        sum(losses.values()).backward()
        assert all(loss.isfinite() for loss in losses.values())
        assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)

    def test_under_autocast_the_losses_are_of_single_precision(self, student_cfg):
        detector = build(taught_by_classifier(faster(student_cfg), kd_cls=kd_cls(), kd_loc=KD_LOC))
        with torch.autocast('cpu', dtype=torch.bfloat16):
            data = detector.data_preprocessor(raw_batch(), True)
            with observe_student(detector, ('roi',)) as student:
                maps = detector.extract_feat(data['inputs'])
                proposals = [
                    InstanceData(bboxes=boxes, scores=torch.ones(2), labels=torch.zeros(2, dtype=torch.long))
                    for boxes in torch.tensor([[4.0, 4.0, 30.0, 30.0], [20.0, 20.0, 60.0, 60.0]]).expand(2, 2, 4)
                ]
                detector.roi_head.loss(tuple(m.float() for m in maps), proposals, data['data_samples'])
                knowledge = taught(detector, data)
                losses = {n: d(student, knowledge, step_of(data, knowledge)) for n, d in detector.distillers.items()}
        assert losses['kd_cls']['cls'].dtype == losses['kd_loc']['loc'].dtype == torch.float32


class TestWhatIsRefused:
    def refused(self, cfg, match):
        with pytest.raises(DistillationError, match=match):
            build(cfg, init=False)

    @pytest.mark.parametrize(('architecture', 'use_sigmoid'), [(faster, True), (ssd, True), (retinanet, False)])
    def test_a_loss_for_the_other_kind_of_scores(self, student_cfg, architecture, use_sigmoid):
        cfg = taught_by_classifier(architecture(student_cfg), kd_cls=kd_cls(use_sigmoid))
        self.refused(cfg, f'distillers.kd_cls: .*set loss_cls.use_sigmoid={not use_sigmoid}')

    def test_another_number_of_classes(self, student_cfg):
        classifier = classifier_of(student_cfg, num_classes=7)
        cfg = taught_by_classifier(faster(student_cfg), classifier, kd_cls=kd_cls())
        self.refused(cfg, 'the student knows 3 classes, the classifier 7')

    @pytest.mark.parametrize(
        ('layers', 'match'),
        [
            ([dict(name='backbone.maxpol', size=8)], "layer 'backbone.maxpol'.*there are pixels, .*backbone.maxpool"),
            ([dict(name='pixels')], 'layers is a list of dict'),
            ([], 'layers is a list of dict'),
            ([dict(name='backbone.maxpool', size=0.5)], 'of size 0.5 cannot be had'),
            ([dict(name='backbone.layer1.5', size=8)], 'cannot be had'),
        ],
    )
    def test_layers_that_are_not_there(self, student_cfg, layers, match):
        cfg = taught_by_classifier(faster(student_cfg), kd_loc={**KD_LOC, 'layers': layers})
        self.refused(cfg, match)

    def test_a_detector_cannot_teach_so(self, student_cfg, teacher_cfg, teacher_checkpoint):
        cfg = taught_by_classifier(faster(student_cfg))
        cfg.model.teacher = dict(config=teacher_cfg, checkpoint=str(teacher_checkpoint))
        self.refused(cfg, 'it learns from a ClassifierTeacher, and there is none')


def test_deeper_layers_serve_too(student_cfg):
    layers = [dict(name='backbone.layer1', size=4), dict(name='backbone.layer2.0', size=2, weight=0.5)]
    detector = build(taught_by_classifier(faster(student_cfg), kd_loc={**KD_LOC, 'layers': layers}))
    assert losses_of(detector, raw_batch())['kd_loc.loss_loc'] > 0


def test_the_classifier_runs_once_over_the_truth_and_no_deeper_than_asked(student_cfg):
    detector = build(taught_by_classifier(cascade(student_cfg), kd_cls=kd_cls(), kd_loc=KD_LOC))
    backbone, whole, stems = detector.teacher.model.backbone, [], []
    backbone.layer1.register_forward_hook(lambda _, args, __: whole.append(len(args[0])))
    backbone.maxpool.register_forward_hook(lambda _, args, __: stems.append(len(args[0])))
    losses = losses_of(detector, raw_batch((3, 2)))
    assert whole == [5]  # three stages ask
    assert stems.count(5) >= 2  # the logits', and the maps of the truth; then those of the predicted boxes
    total(losses).backward()
    assert whole == [5]


def test_with_a_weight_of_zero_the_classifier_is_not_asked(student_cfg, monkeypatch):
    detector = build(taught_by_classifier(faster(student_cfg), kd_cls={**kd_cls(), 'weight': 0.0}))
    monkeypatch.setattr(detector.teacher, 'observe', lambda batch: pytest.fail('asked'))
    assert losses_of(detector, raw_batch())['kd_cls.loss_cls'] == 0
