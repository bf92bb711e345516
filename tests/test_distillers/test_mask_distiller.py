"""The mask distiller on real detectors, against a loop over the cells of the masks of the true classes."""

import copy
import math
from contextlib import contextmanager

import pytest
import torch
from helpers.architectures import cascade, faster
from helpers.distil import AS_ALONE, build, distilled_cfg, losses_of, save_teacher, step_of
from helpers.two_stage import agnostic_masks, spread_masks, step_of_own, two_pictures, with_masks

from mmdet_kd.distillers import MaskDistiller, Model, ModelPair
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import ClassMap, TeacherKnowledge, mask_heads, observe_student, record_calls

KL = dict(type='SoftenedKLLoss', use_sigmoid=True, temperature=1.0)
BCE = dict(type='SoftenedBCELoss', temperature=1.0)


def masks(cfg):
    """Mask R-CNN."""
    return with_masks(cfg)


def cascade_masks(cfg):
    """Cascade Mask R-CNN; its stages count 1, 0.5 and 0.25."""
    return with_masks(cascade(cfg))


def pair_of(student_cfg, teacher_cfg, **keys):
    sides = [spread_masks(build(cfg, seed), seed) for seed, cfg in enumerate((student_cfg, teacher_cfg))]
    sides[1].eval().requires_grad_(False)
    models = [
        Model(name, side, cfg.model)
        for name, side, cfg in zip(('student', 'teacher'), sides, (student_cfg, teacher_cfg), strict=True)
    ]
    return ModelPair(*models, **keys)


class Observed:
    """One step of the student's own loss, and the teacher that sees the same."""

    def __init__(self, pair, counts=(4, 2), ratio=None):
        self.detector, self.teacher_detector = pair.student.detector, pair.teacher.detector
        self.data = self.detector.data_preprocessor(copy.deepcopy(two_pictures(counts)), training=True)
        self.images, ratios = self.data['inputs'], None
        if ratio is not None:
            self.images = torch.nn.functional.interpolate(self.images, scale_factor=ratio, mode='nearest')
            ratios = torch.full((2, 2), float(ratio))
        self.teacher = TeacherKnowledge(self.teacher_detector, self.images, ratios)
        self.heads = mask_heads(self.detector.roi_head)


@contextmanager
def observed(pair, counts=(4, 2), ratio=None):
    step = Observed(pair, counts, ratio)
    points = {str(stage): (head, 'loss_and_target') for stage, head in enumerate(step.heads)}
    with observe_student(step.detector, MaskDistiller.kinds) as student, record_calls(points) as calls:
        torch.manual_seed(0)
        type(step.detector).loss(step.detector, step.data['inputs'], step.data['data_samples'])
        step.calls = [calls[str(stage)][0].arguments for stage in range(len(step.heads))]
        step.sides = student, step.teacher, step_of(step.data, step.teacher)
        yield step


def teachers_masks(step, stage, ratio=1.0):
    """What the teacher's own layers make of the student's positive RoIs, (P, C, h, w)."""
    roi_head = step.teacher_detector.roi_head
    heads, extractors = mask_heads(roi_head), roi_head.mask_roi_extractor
    judge = min(stage, len(heads) - 1)
    rois = [
        [float(i), *(ratio * side for side in box.tolist())]
        for i, result in enumerate(step.calls[stage]['sampling_results'])
        for box in result.pos_priors
    ]
    with torch.no_grad():
        maps = step.teacher_detector.extract_feat(step.images)[:4]
        extractor = extractors[judge] if len(heads) > 1 else extractors
        return heads[judge](extractor(maps, torch.tensor(rois)))


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def by_loops(step, stage, temperature, ratio=1.0, map_label=int):
    """The divergence summed over all cells, its gradient towards all of the student's masks, and P * h * w."""
    own, sampled = step.calls[stage]['mask_preds'], step.calls[stage]['sampling_results']
    theirs = teachers_masks(step, stage, ratio)
    z_s, z_t = own.tolist(), theirs.tolist()
    labels = [int(label) for result in sampled for label in result.pos_gt_labels]
    value, gradient = 0.0, torch.zeros(own.shape, dtype=torch.float64)
    for i, label in enumerate(labels):
        c_s = 0 if own.shape[1] == 1 else label
        c_t = 0 if theirs.shape[1] == 1 else map_label(label)
        for y in range(own.shape[2]):
            for x in range(own.shape[3]):
                p, q = (sigmoid(z / temperature) for z in (z_s[i][c_s][y][x], z_t[i][c_t][y][x]))
                value += temperature**2 * (q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)))
                gradient[i, c_s, y, x] = temperature * (p - q)
    return value, gradient, len(labels) * own.shape[2] * own.shape[3]


PAIRS = [
    (masks, masks, 1.0),
    pytest.param(masks, agnostic_masks, 1.0, marks=pytest.mark.slow),
    (agnostic_masks, masks, 2.0),
    (cascade_masks, cascade_masks, 3.0),
    pytest.param(masks, cascade_masks, 1.0, marks=pytest.mark.slow),
    pytest.param(cascade_masks, masks, 1.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(('student', 'teacher', 'temperature'), PAIRS)
def test_value_and_gradient_are_the_loops(student, teacher, temperature, student_cfg, teacher_cfg):
    pair = pair_of(student(student_cfg), teacher(teacher_cfg))
    distiller = MaskDistiller(pair, dict(KL, temperature=temperature, loss_weight=0.7))
    with observed(pair) as step:
        losses = distiller(*step.sides)
        own = [call['mask_preds'] for call in step.calls]
        found = torch.autograd.grad(losses['mask'], own)
    assert set(losses) == {'mask'}
    weights, expected = [1, 0.5, 0.25] if len(own) == 3 else [1], 0.0
    for stage, weight in enumerate(weights):
        value, gradient, cells = by_loops(step, stage, temperature)
        expected += 0.7 * weight * value / cells
        torch.testing.assert_close(found[stage].double(), 0.7 * weight * gradient / cells, rtol=1e-4, atol=1e-9)
    assert losses['mask'].item() == pytest.approx(expected, rel=1e-4)


def test_a_student_that_is_its_teacher_has_the_floor_and_no_gradient(student_cfg):
    """The floor of the divergence is 0; that of the cross entropy is the entropy of the teacher's probabilities."""
    pair = pair_of(masks(student_cfg), masks(student_cfg))
    pair.student.detector.load_state_dict(pair.teacher.detector.state_dict())
    pair.student.detector.eval()
    with observed(pair) as step:
        own = step.calls[0]['mask_preds']
        for loss in (KL, BCE):
            value = MaskDistiller(pair, loss)(*step.sides)['mask']
            (gradient,) = torch.autograd.grad(value, own, retain_graph=True)
            assert gradient.abs().max() < 1e-7
            labels = torch.cat([result.pos_gt_labels for result in step.calls[0]['sampling_results']])
            p = torch.stack([mask[label] for mask, label in zip(own, labels, strict=True)]).detach().double().sigmoid()
            floor = -(p * p.log() + (1 - p) * (1 - p).log()).mean() if loss is BCE else 0.0
            assert value.item() == pytest.approx(float(floor), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize('student', [masks, pytest.param(cascade_masks, marks=pytest.mark.slow)])
def test_without_positive_rois_it_is_an_attached_zero(student, student_cfg, teacher_cfg):
    pair = pair_of(student(student_cfg), masks(teacher_cfg))
    distiller = MaskDistiller(pair, KL)
    with observed(pair, counts=(0, 0)) as step:
        loss = distiller(*step.sides)['mask']
        loss.backward()
    assert loss.item() == 0
    for head in step.heads:
        assert (head.conv_logits.weight.grad == 0).all()


def test_the_gradient_reaches_the_students_maps_and_no_teacher(student_cfg, teacher_cfg):
    pair = pair_of(masks(student_cfg), masks(teacher_cfg))
    pair.teacher.detector.requires_grad_(True)
    distiller = MaskDistiller(pair, KL)
    with observed(pair) as step:
        distiller(*step.sides)['mask'].backward()
    student = pair.student.detector
    for layer in (student.roi_head.mask_head.convs[0].conv, student.neck.fpn_convs[0].conv, student.backbone.conv1):
        assert layer.weight.grad.abs().sum() > 0
    assert student.roi_head.bbox_head.fc_cls.weight.grad is None
    assert all(parameter.grad is None for parameter in pair.teacher.detector.parameters())


def test_a_roi_is_the_same_region_of_larger_pictures(student_cfg, teacher_cfg):
    pair = pair_of(masks(student_cfg), masks(teacher_cfg), student_scale=0.5)
    distiller = MaskDistiller(pair, KL)
    with observed(pair, ratio=2) as step:
        found = distiller(*step.sides)['mask'].item()
    value, _, cells = by_loops(step, 0, 1.0, ratio=2.0)
    assert found == pytest.approx(value / cells, rel=1e-4)


def test_classes_of_another_order_are_found_by_their_names(student_cfg, teacher_cfg):
    pair = pair_of(masks(student_cfg), masks(teacher_cfg))
    distiller = MaskDistiller(pair, KL)
    order = [2, 0, 1]
    with observed(pair) as step:
        student, teacher, told = step.sides
        teacher._class_map = ClassMap(order, 3)
        found = distiller(student, teacher, told)['mask'].item()
    value, _, cells = by_loops(step, 0, 1.0, map_label=order.__getitem__)
    assert found == pytest.approx(value / cells, rel=1e-4)


def test_under_autocast_it_computes_in_single_precision(student_cfg, teacher_cfg):
    """Half precision has no room for the logarithm of what a sure mask gives the other side."""
    pair = pair_of(masks(student_cfg), masks(teacher_cfg))
    distiller = MaskDistiller(pair, KL)
    with torch.no_grad():
        for side in (pair.student, pair.teacher):
            side.detector.roi_head.mask_head.conv_logits.weight.mul_(100)
    with observed(pair) as step:
        plain = distiller(*step.sides)['mask']
        with torch.autocast('cpu', dtype=torch.float16):
            half = distiller(*step.sides)['mask']
    assert half.dtype == torch.float32
    assert plain > 5
    # the teacher's mask head itself runs in half precision
    assert half.item() == pytest.approx(plain.item(), rel=1e-2)


# What does not fit.


def refuse(student, teacher, match, loss=KL, **keys):
    pair = ModelPair(
        Model('student', build(student, init=False), student.model),
        Model('teacher', build(teacher, init=False), teacher.model),
        **keys,
    )
    with pytest.raises(DistillationError, match=match) as caught:
        MaskDistiller(pair, loss)
    return caught.value.problems


def test_masks_of_another_size_are_refused_with_the_cure(student_cfg, teacher_cfg):
    larger = with_masks(teacher_cfg)
    larger.model.roi_head.mask_roi_extractor.roi_layer.output_size = 7
    (problem,) = refuse(masks(student_cfg), larger, "masks .stage 0. have 10x10 cells, the teacher's .stage 0. 14x14")
    assert 'mask_roi_extractor.roi_layer.output_size' in problem
    problems = refuse(cascade_masks(student_cfg), larger, "stage 2. have 10x10 cells, the teacher's .stage 0. 14x14")
    assert len(problems) == 3


def test_sides_without_masks_are_each_named(student_cfg, teacher_cfg):
    problems = refuse(faster(student_cfg), faster(teacher_cfg), 'it has no mask branch. Leave this distiller out')
    assert [problem.split("'s")[0] for problem in problems] == [
        'MaskDistiller: the student',
        'MaskDistiller: the teacher',
    ]


def test_other_numbers_of_classes_are_refused_unless_the_teacher_has_one_mask(student_cfg, teacher_cfg):
    five = with_masks(teacher_cfg)
    five.model.roi_head.bbox_head.num_classes = five.model.roi_head.mask_head.num_classes = 5
    expected = "the student knows 3 classes, the teacher's mask heads 5: take a teacher"
    assert len(refuse(masks(student_cfg), five, expected)) == 1
    five.model.roi_head.mask_head.class_agnostic = True
    sides = [
        Model(name, build(cfg, init=False), cfg.model)
        for name, cfg in (('student', masks(student_cfg)), ('teacher', five))
    ]
    assert MaskDistiller(ModelPair(*sides), KL).compares_classes is False
    five.model.roi_head.mask_head.class_agnostic = False
    sides[1] = Model('teacher', build(five, init=False), five.model)
    assert MaskDistiller(ModelPair(*sides, classes_by_name=True), KL).compares_classes is True


def test_a_loss_of_a_softmax_is_refused(student_cfg, teacher_cfg):
    expected = (
        'loss_mask is given sigmoid scores, and SoftenedKLLoss compares softmax scores: set loss_mask.use_sigmoid'
    )
    refuse(masks(student_cfg), masks(teacher_cfg), expected, dict(type='SoftenedKLLoss'))


# In a detector.


@pytest.mark.slow
@pytest.mark.parametrize('family', [masks, cascade_masks])
def test_it_trains_by_a_detector(family, student_cfg, teacher_cfg, tmp_path):
    """The loss is the same whether the teacher was made fast or not, and the student's own losses stay whole."""
    checkpoint = save_teacher(family(teacher_cfg), tmp_path / 'masks.pth')
    taught = dict(type='MaskDistiller', loss_mask=KL)
    cfg = distilled_cfg(family(student_cfg), family(teacher_cfg), checkpoint, masks=taught)
    found = []
    for speed in (dict(precision='bfloat16'), dict(precision=None), AS_ALONE):
        cfg.model.teacher.update(speed)
        detector = build(cfg)
        losses = losses_of(detector, two_pictures())
        losses['masks.loss_mask'].backward()
        for head in mask_heads(detector.roi_head):
            assert head.conv_logits.weight.grad.abs().sum() > 0
        found.append(losses['masks.loss_mask'].item())
    assert found[0] == pytest.approx(found[2], rel=0.05)
    assert found[1] == pytest.approx(found[2], rel=1e-3)
    assert found[2] > 1e-3
    own = [name for name in losses if name.endswith('loss_mask') and not name.startswith('masks')]
    plain = step_of_own(build(family(student_cfg)), two_pictures())
    assert len(own) == len(mask_heads(detector.roi_head))
    for name in own:
        torch.testing.assert_close(losses[name], plain[name])


def test_a_loss_of_no_weight_asks_for_nothing(student_cfg, teacher_cfg):
    pair = pair_of(masks(student_cfg), masks(teacher_cfg))
    assert MaskDistiller(pair, KL).is_active
    assert not MaskDistiller(pair, dict(KL, loss_weight=0)).is_active
    assert not MaskDistiller(pair, KL, weight=0).is_active
