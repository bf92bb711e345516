"""The laws of docs/architecture.md, on real detectors of both families. Law 8, exact resume, is in tests/test_hooks."""

import copy
import hashlib

import pytest
import torch
from helpers.architectures import faster
from helpers.detr import detr
from helpers.distil import (
    AS_ALONE,
    METHOD,
    ONE_STAGE_METHOD,
    build,
    distilled_cfg,
    losses_of,
    raw_batch,
    soft_part,
    step_of,
    taught,
    total,
)
from helpers.one_stage import retinanet
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from torch import nn

from mmdet_kd.export import plain_student_config
from mmdet_kd.knowledge import TeacherKnowledge, observe_student

PARTS = {
    'KnowledgeDistillationTwoStageDetector': {
        'hint.loss_feat', 'rpn.loss_cls', 'rpn.loss_bbox', 'roi.loss_cls', 'roi.loss_bbox'
    },
    'KnowledgeDistillationOneStageDetector': {'hint.loss_feat', 'dense.loss_cls'},
    'KnowledgeDistillationDetector': {'hint.loss_feat'},
}  # fmt: skip


@pytest.fixture(
    params=[faster, retinanet, pytest.param(detr, marks=pytest.mark.slow)], ids=['two-stage', 'one-stage', 'detr']
)
def family(request):
    """Makes a detector of the family out of the tiny two-stage one."""
    return request.param


@pytest.fixture
def student_cfg(student_cfg, family):
    return family(student_cfg)


@pytest.fixture
def teacher_cfg(teacher_cfg, family):
    return family(teacher_cfg)


two_stage_only = pytest.mark.parametrize('family', [faster], ids=['two-stage'])


@pytest.fixture
def cfg(student_cfg, teacher_cfg, teacher_checkpoint):
    return distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)


def fingerprint(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def step(detector: nn.Module, seed: int = 0) -> None:
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.01)
    total(losses_of(detector, raw_batch(seed=seed), seed)).backward()
    optimizer.step()
    optimizer.zero_grad()


class TestLaw1TheTeacherIsNobodys:
    def test_it_is_in_no_parameters_modules_or_state(self, cfg):
        detector = build(cfg)
        held = {id(t) for t in (*detector.teacher.parameters(), *detector.teacher.buffers())}
        assert held
        assert not held & {id(t) for t in (*detector.parameters(), *detector.buffers())}
        assert not any('teacher' in name for name, _ in detector.named_modules())
        assert not any('teacher' in key for key in detector.state_dict())

    def test_training_leaves_its_bits_as_they_were(self, cfg, teacher_cfg, teacher_checkpoint):
        cfg.model.teacher.update(AS_ALONE)
        detector = build(cfg)
        before = fingerprint(detector.teacher.detector)
        student_before = fingerprint(detector)
        for seed in range(3):
            step(detector, seed)
        assert fingerprint(detector.teacher.detector) == before
        assert fingerprint(detector) != student_before
        plain = MODELS.build(copy.deepcopy(teacher_cfg.model))
        plain.load_state_dict(torch.load(teacher_checkpoint, weights_only=True)['state_dict'])
        assert fingerprint(plain) == before

    @pytest.mark.parametrize('call', [lambda d: d.train(), lambda d: d.teacher.train(), lambda d: d.eval().train(True)])
    def test_it_stays_in_eval_mode_whoever_calls_train(self, cfg, call):
        detector = build(cfg)
        call(detector)
        assert not any(module.training for module in detector.teacher.modules())
        assert detector.training

    def test_it_follows_the_student_through_a_wrapper(self, cfg):
        detector = build(cfg)
        nn.Sequential(detector).to(torch.float64)
        assert {p.dtype for p in detector.teacher.parameters()} == {torch.float64}

    def test_an_ema_copy_shares_its_memory(self, cfg):
        detector = build(cfg)
        ema = ExponentialMovingAverage(detector)
        teachers = zip(ema.module.teacher.parameters(), detector.teacher.parameters(), strict=True)
        assert all(one.data_ptr() == other.data_ptr() for one, other in teachers)
        assert not any('teacher' in key for key in ema.state_dict())
        step(detector)
        ema.update_parameters(detector)


class TestLaw2TheCheckpointIsThePlainStudents:
    def test_it_predicts_the_same_bits_in_the_plain_student(self, cfg, student_cfg):
        detector = build(cfg)
        step(detector)
        plain = MODELS.build(copy.deepcopy(student_cfg.model))
        state = {k: v for k, v in detector.state_dict().items() if not k.startswith('distillers.')}
        plain.load_state_dict(state, strict=True)
        batch = raw_batch()
        results = [d.eval().test_step(copy.deepcopy(batch)) for d in (detector, plain)]
        for distilled, alone in zip(*results, strict=True):
            for key in ('bboxes', 'scores', 'labels'):
                assert torch.equal(distilled.pred_instances[key], alone.pred_instances[key])
        assert sum(len(r.pred_instances) for r in results[0]) > 0

    def test_testing_needs_no_teacher_weights(self, student_cfg, teacher_cfg):
        cfg = distilled_cfg(student_cfg, teacher_cfg, '/no/such/teacher.pth')
        detector = build(cfg, init=False).eval()
        detector.test_step(raw_batch())
        assert detector.teacher.detector is None

    def test_the_plain_config_builds_the_same_student(self, cfg):
        plain = plain_student_config(cfg)
        assert 'teacher' not in plain.model
        detector = MODELS.build(plain.model)
        assert set(detector.state_dict()) == {k for k in build(cfg, init=False).state_dict() if 'distillers' not in k}

    def test_the_student_starts_as_it_would_alone(self, cfg, student_cfg):
        alone, distilled = build(student_cfg, seed=3), build(cfg, seed=3)
        state = distilled.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in alone.state_dict().items())

    def test_and_draws_the_same_random_numbers_after(self, cfg, student_cfg):
        draws = []
        for each in (student_cfg, cfg):
            build(each, seed=3)
            draws.append(torch.rand(4))
        assert torch.equal(*draws)


class TestLaw4And5AreTheTeachersOwn:
    def other_preprocessing(self, teacher_cfg: Config) -> dict:
        return dict(
            type='DetDataPreprocessor',
            mean=[103.53, 116.28, 123.675],
            std=[1.0, 1.0, 1.0],
            bgr_to_rgb=False,
            pad_size_divisor=teacher_cfg.model.data_preprocessor.pad_size_divisor,
        )

    @pytest.mark.parametrize('family', [faster, retinanet], ids=['two-stage', 'one-stage'])
    def test_the_teacher_sees_its_own_normalisation(self, student_cfg, teacher_cfg, teacher_checkpoint, monkeypatch):
        teacher_cfg.model.data_preprocessor = self.other_preprocessing(teacher_cfg)
        cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint)
        cfg.model.teacher.update(AS_ALONE)
        detector = build(cfg)
        seen = []
        monkeypatch.setattr(
            TeacherKnowledge,
            'features',
            lambda self, source, f=TeacherKnowledge.features: seen.append(f(self, source)) or seen[-1],
        )
        batch = raw_batch()
        losses_of(detector, batch)

        alone = MODELS.build(copy.deepcopy(teacher_cfg.model)).eval()
        alone.load_state_dict(torch.load(teacher_checkpoint, weights_only=True)['state_dict'])
        with torch.no_grad():
            expected = alone.extract_feat(alone.data_preprocessor(copy.deepcopy(batch))['inputs'])
        assert all(torch.equal(a, b) for a, b in zip(seen[0], expected, strict=True))

    @pytest.mark.parametrize('divisor', [1, 64])
    def test_the_teacher_pads_as_it_does_alone(self, student_cfg, teacher_cfg, teacher_checkpoint, divisor):
        """72 pixels: 96 for the student, 72 or 128 for the teacher; compared where both see the picture."""
        teacher_cfg.model.data_preprocessor.pad_size_divisor = divisor
        detector = build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint))
        batch = raw_batch(size=72)
        seen = detector.teacher.preprocess(batch['inputs'])
        alone = MODELS.build(copy.deepcopy(teacher_cfg.model))
        assert torch.equal(seen, alone.data_preprocessor(copy.deepcopy(batch))['inputs'])
        assert seen.shape[-1] == {1: 72, 64: 128}[divisor]
        losses = losses_of(detector, batch)
        assert soft_part(losses).keys() == PARTS[type(detector).__name__.partition('Of')[0]]
        assert all(loss.isfinite() and loss > 0 for name, loss in soft_part(losses).items() if 'bbox' not in name)
        total(losses).backward()

    @pytest.mark.parametrize('family', [faster, retinanet], ids=['two-stage', 'one-stage'])
    @pytest.mark.parametrize('divisor', [32, 160])
    def test_maps_are_compared_without_what_one_side_pads_alone(
        self, student_cfg, teacher_cfg, teacher_checkpoint, divisor
    ):
        """Pictures that fill the student's canvas of 96 px; the teacher's has 96 or 160."""
        teacher_cfg.model.data_preprocessor.pad_size_divisor = divisor
        cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint, hint={**METHOD['hint'], 'levels': (0,)})
        detector = build(cfg)
        with observe_student(detector, ('neck',)) as student:
            data = detector.data_preprocessor(raw_batch(size=96), training=True)
            detector.extract_feat(data['inputs'])
            teacher = detector.teacher.knowledge_of(detector.teacher.preprocess(raw_batch(size=96)['inputs']))
            hint = detector.distillers['hint']
            found = hint(student, teacher, step_of(data, teacher))['feat']
            feat_s, feat_t = student.features('neck')[0], teacher.features('neck')[0]
            assert feat_t.shape[-1] == divisor // 4 or divisor == 32
            expected = hint.loss(hint.adapters[0](feat_s, feat_t[..., :24, :24]), feat_t[..., :24, :24])
        torch.testing.assert_close(found, expected)

    def test_a_bare_tensor_is_refused_then(self, student_cfg, teacher_cfg, teacher_checkpoint):
        teacher_cfg.model.data_preprocessor = self.other_preprocessing(teacher_cfg)
        detector = build(distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint))
        data = detector.data_preprocessor(raw_batch(), training=True)
        detector(**data, mode='loss')
        with pytest.raises(RuntimeError, match='as they were loaded'):
            detector(**data, mode='loss')

    def test_one_normalisation_serves_both_where_they_are_alike(self, cfg):
        cfg.model.teacher.update(AS_ALONE)
        detector = build(cfg)
        data = detector.data_preprocessor(raw_batch(), training=True)
        assert taught(detector, data)._images is data['inputs']


class TestLaw6EveryBatchTrains:
    @pytest.mark.parametrize('boxes', [(0, 0), (3, 0), (0,)])
    def test_without_ground_truth_the_losses_are_attached_and_finite(self, cfg, boxes):
        detector = build(cfg)
        soft = soft_part(losses_of(detector, raw_batch(boxes)))
        assert soft.keys() == PARTS[cfg.model.type]
        assert all(loss.requires_grad and loss.isfinite() for loss in soft.values())
        if sum(boxes) == 0:
            of_positives = {'rpn.loss_bbox', 'roi.loss_bbox', 'dense.loss_cls'}
            assert all(soft[name] == 0 for name in of_positives & soft.keys())

    @pytest.mark.parametrize('boxes', [(0, 0), (3, 2)])
    def test_every_parameter_has_a_gradient(self, cfg, boxes):
        """So `find_unused_parameters` stays False."""
        detector = build(cfg)
        total(losses_of(detector, raw_batch(boxes))).backward()
        assert [name for name, p in detector.named_parameters() if p.requires_grad and p.grad is None] == []

    def test_crowd_boxes_train(self, cfg):
        detector, batch = build(cfg), raw_batch()
        for sample in batch['data_samples']:
            sample.ignored_instances, sample.gt_instances = sample.gt_instances, sample.gt_instances[:0]
        losses = losses_of(detector, batch)
        total(losses).backward()
        assert all(loss.isfinite() for loss in soft_part(losses).values())

    def test_losses_are_single_precision_under_autocast(self, cfg):
        detector = build(cfg)
        half = []
        # mmcv's NMS takes no half precision on the CPU; what is recorded inside the head stays as autocast made it.
        head = getattr(detector, 'rpn_head', None) or detector.bbox_head
        head.register_forward_hook(lambda head, args, out: half.append(out) or _float(out))
        with torch.autocast('cpu', dtype=torch.float16):
            losses = losses_of(detector, raw_batch())
        assert half[0][0][0].dtype == torch.float16
        assert {loss.dtype for loss in soft_part(losses).values()} == {torch.float32}
        total(losses).backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in detector.parameters())

    @pytest.mark.parametrize(
        ('family', 'name', 'part'),
        [
            (faster, 'hint', 'loss'),
            (faster, 'rpn', 'loss_cls'),
            (faster, 'roi', 'loss_bbox'),
            (retinanet, 'dense', 'loss_cls'),
        ],
    )
    def test_a_loss_that_is_not_finite_stops_with_its_distillers_name(self, cfg, name, part):
        detector = build(cfg)
        getattr(detector.distillers[name], part).loss_weight = float('nan')
        with pytest.raises(FloatingPointError, match=rf'{name}\.loss_'):
            losses_of(detector, raw_batch())


class TestTheTeacherTeaches:
    def test_every_part_is_logged_under_its_distillers_name(self, cfg):
        assert soft_part(losses_of(build(cfg), raw_batch())).keys() == PARTS[cfg.model.type]

    @pytest.mark.parametrize(
        ('family', 'name'), [*((faster, name) for name in METHOD), *((retinanet, name) for name in ONE_STAGE_METHOD)]
    )
    def test_every_distiller_moves_the_student(self, student_cfg, teacher_cfg, teacher_checkpoint, name):
        distiller = {**METHOD, **ONE_STAGE_METHOD}[name]
        cfg = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint, **{name: distiller})
        detector = build(cfg)
        sum(soft_part(losses_of(detector, raw_batch())).values()).backward()
        grads = [p.grad for n, p in detector.named_parameters() if n.startswith('backbone') and p.grad is not None]
        assert grads
        assert any(g.abs().sum() > 0 for g in grads)

    @two_stage_only
    def test_mu_mixes_hard_and_soft(self, cfg):
        detector, batch = build(cfg), raw_batch()
        by_mu = {}
        for mu in (0.0, 0.25, 1.0):
            for name in ('rpn', 'roi'):
                detector.distillers[name].mu = mu
            by_mu[mu] = losses_of(detector, batch)
        for hard, soft in (('loss_cls', 'roi.loss_cls'), ('loss_rpn_cls', 'rpn.loss_cls')):
            torch.testing.assert_close(_sum(by_mu[0.25][hard]), 0.25 * _sum(by_mu[1.0][hard]))
            torch.testing.assert_close(by_mu[0.25][soft], 0.75 * by_mu[0.0][soft])
            assert _sum(by_mu[0.0][hard]) == 0
            assert by_mu[1.0][soft] == 0

    def test_the_students_own_losses_are_mmdets(self, student_cfg, teacher_cfg, teacher_checkpoint):
        """`loss()` is observed, not copied: without a soft classification loss nothing of it changes."""
        hint = distilled_cfg(student_cfg, teacher_cfg, teacher_checkpoint, hint=METHOD['hint'])
        alone, distilled = (losses_of(build(c), raw_batch()) for c in (student_cfg, hint))
        for key, value in alone.items():
            assert torch.equal(_sum(value), _sum(distilled[key])), key

    @pytest.mark.parametrize('family', [faster, retinanet], ids=['two-stage', 'one-stage'])
    def test_an_inherited_distiller_is_left_out_with_none(self, cfg):
        last = list(cfg.model.distillers)[-1]
        cfg.model.distillers[last] = None
        assert last not in build(cfg).distillers

    def test_nothing_is_held_after_the_step(self, cfg):
        import gc
        import weakref

        detector = build(cfg)
        losses = losses_of(detector, raw_batch())
        total(losses).backward()
        graph = weakref.ref(losses[list(soft_part(losses))[-1]])
        del losses
        gc.collect()
        assert graph() is None
        assert 'forward' not in detector.neck.__dict__
        assert 'forward_encoder' not in detector.__dict__
        head = getattr(detector, 'rpn_head', None) or detector.bbox_head
        assert 'get_targets' not in head.__dict__


def _sum(loss):
    return sum(loss) if isinstance(loss, list) else loss


def _float(outputs):
    return tuple([level.float() for level in part] for part in outputs)
