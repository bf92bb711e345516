"""A detector and a classifier teach one student."""

import copy
from collections import Counter

import pytest
import torch
from helpers.architectures import faster
from helpers.classifier import KD_LOC, classifier_of, kd_cls
from helpers.distil import DENSE, HINT, ROI, build, distilled_cfg, losses_of, raw_batch, save_teacher, soft_part, total
from helpers.one_stage import retinanet
from mmdet.registry import MODELS
from mmengine.config import Config

from mmdet_kd.errors import DistillationError
from mmdet_kd.export import plain_student_config

FAMILIES = {'two-stage': (faster, ROI, False), 'one-stage': (retinanet, DENSE, True)}


@pytest.fixture(params=FAMILIES)
def cfg(request, student_cfg, teacher_cfg):
    architecture, response, use_sigmoid = FAMILIES[request.param]
    student, teacher = architecture(student_cfg), architecture(teacher_cfg)
    cfg = distilled_cfg(student, None, None, hint=HINT, response=response, kd_cls=kd_cls(use_sigmoid), kd_loc=KD_LOC)
    del cfg.model['teacher']
    cfg.model.teachers = dict(
        detector=dict(config=teacher, checkpoint=None),
        classifier=dict(type='ClassifierTeacher', config=classifier_of(student), checkpoint=None),
    )
    return cfg


def refused(cfg: Config, match: str, init: bool = False) -> None:
    with pytest.raises(DistillationError, match=match):
        build(cfg, init=init)


def test_each_distiller_learns_from_the_one_that_it_can_learn_from(cfg):
    losses = soft_part(losses_of(build(cfg), raw_batch()))
    assert {name.partition('.')[0] for name in losses} == {'hint', 'response', 'kd_cls', 'kd_loc'}
    assert losses['hint.loss_feat'] > 0
    assert losses['kd_cls.loss_cls'] > 0
    assert losses['kd_loc.loss_loc'] > 0


def test_each_teacher_looks_at_a_batch_once(cfg, monkeypatch):
    detector, looks = build(cfg), Counter()
    for name, teacher in detector.teachers.items():
        observe = teacher.observe
        monkeypatch.setattr(teacher, 'observe', lambda batch, n=name, of=observe: looks.update([n]) or of(batch))
    backbone = detector.teachers['detector'].detector.backbone
    backbone.register_forward_hook(lambda *_: looks.update(['backbone']))
    losses_of(detector, raw_batch())
    assert looks == {'detector': 1, 'classifier': 1, 'backbone': 1}


def test_a_teacher_that_normalises_otherwise_sees_its_own_pictures_beside_one_that_does_not(cfg):
    cfg.model.teachers.detector.config.model.data_preprocessor.mean = [1.0, 2.0, 3.0]
    detector, batch, seen = build(cfg), raw_batch(), []
    teacher = detector.teachers['detector']
    teacher.detector.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    losses_of(detector, batch)
    (pictures,) = seen
    assert torch.equal(pictures, teacher.preprocess(batch['inputs']))


def test_the_parts_are_what_they_are_with_one_teacher(cfg):
    together = soft_part(losses_of(build(cfg), raw_batch()))
    for name, distillers in (('detector', ('hint', 'response')), ('classifier', ('kd_cls', 'kd_loc'))):
        alone = copy.deepcopy(cfg)
        alone.model.teacher = alone.model.pop('teachers')[name]
        alone.model.distillers = {key: value for key, value in alone.model.distillers.items() if key in distillers}
        for part, loss in soft_part(losses_of(build(alone), raw_batch())).items():
            if part != 'hint.loss_feat':  # its adapter is drawn after other distillers
                torch.testing.assert_close(loss, together[part], rtol=1e-4, atol=1e-6)


def test_two_of_a_sort_are_told_apart_by_name(cfg, teacher_cfg):
    other = FAMILIES['one-stage'][0] if 'bbox_head' in cfg.model else faster
    cfg.model.teachers.second = dict(config=other(teacher_cfg), checkpoint=None)
    refused(cfg, r"distillers.hint: of the teachers, .*name one of them: teacher='detector'")
    cfg.model.distillers.hint.teacher = 'second'
    cfg.model.distillers.response.teacher = 'detector'
    detector = build(cfg)
    torch.nn.init.zeros_(detector.teachers['second'].detector.neck.fpn_convs[0].conv.weight)
    losses = losses_of(detector, raw_batch())
    assert detector._teacher_of == dict(hint='second', response='detector', kd_cls='classifier', kd_loc='classifier')
    total(losses).backward()


class TestLaws:
    def test_they_are_nobodys(self, cfg):
        detector = build(cfg)
        held = {id(t) for teacher in detector.teachers.values() for t in (*teacher.parameters(), *teacher.buffers())}
        assert held
        assert not held & {id(t) for t in (*detector.parameters(), *detector.buffers())}
        assert not any('teacher' in key for key in detector.state_dict())
        detector.train()
        assert not any(m.training for teacher in detector.teachers.values() for m in teacher.modules())
        detector.double()
        assert {p.dtype for teacher in detector.teachers.values() for p in teacher.parameters()} == {torch.float64}

    def test_training_leaves_the_classifier_as_it_was(self, cfg):
        detector = build(cfg)
        classifier = detector.teachers['classifier'].model
        before = {key: value.clone() for key, value in classifier.state_dict().items()}
        optimizer = torch.optim.SGD(detector.parameters(), lr=0.01)
        for seed in range(2):
            total(losses_of(detector, raw_batch(seed=seed), seed)).backward()
            optimizer.step()
        assert all(torch.equal(value, before[key]) for key, value in classifier.state_dict().items())

    def test_the_plain_config_has_none(self, cfg):
        plain = plain_student_config(cfg)
        assert not {'teacher', 'teachers', 'distillers'} & set(plain.model)
        assert set(MODELS.build(plain.model).state_dict()) == {
            key for key in build(cfg, init=False).state_dict() if not key.startswith('distillers.')
        }

    def test_a_test_needs_no_weights(self, cfg):
        for teacher in cfg.model.teachers.values():
            teacher.checkpoint = '/no/such.pth'
        build(cfg, init=False).eval().test_step(raw_batch())


class TestWhatIsRefused:
    def test_one_and_several(self, cfg):
        cfg.model.teacher = cfg.model.teachers.detector
        refused(cfg, 'give one teacher, .*or several by name, .*not both')

    @pytest.mark.parametrize('teachers', [{}, {'detector': None}, 'mmdet::x.py'])
    def test_none_at_all(self, cfg, teachers):
        cfg.model.teachers = teachers
        refused(cfg, 'give one teacher')

    def test_a_name_that_is_not_there(self, cfg):
        cfg.model.distillers.hint.teacher = 'nobody'
        refused(cfg, r"distillers.hint: of the teachers, detector \(DetectorTeacher\), .*; 'nobody' is none")

    def test_a_teacher_of_another_sort(self, cfg):
        cfg.model.distillers.hint.teacher = 'classifier'
        refused(cfg, "distillers.hint: .*it learns from a DetectorTeacher; 'classifier' is none")

    def test_a_teacher_whom_nobody_asks(self, cfg):
        cfg.model.distillers.kd_cls = cfg.model.distillers.kd_loc = None
        refused(cfg, 'teachers.classifier: no distiller learns from it')

    def test_leaving_it_out_by_none(self, cfg):
        cfg.model.distillers.kd_cls = cfg.model.distillers.kd_loc = cfg.model.teachers.classifier = None
        assert list(build(cfg).teachers) == ['detector']

    def test_settings_that_it_does_not_have(self, cfg):
        cfg.model.teachers.classifier.precision = 'bfloat16'
        refused(cfg, "teachers.classifier: ClassifierTeacher has no 'precision'. Known are checkpoint")

    def test_a_type_that_is_no_teacher(self, cfg):
        cfg.model.teachers.classifier.type = 'CropClassifier'
        refused(cfg, "teachers.classifier: 'CropClassifier' is not a teacher. Take DetectorTeacher or")

    def test_all_of_them_are_checked_before_anything_trains(self, cfg, tmp_path):
        path = save_teacher(Config(cfg.model.teachers.classifier.config), tmp_path / 'classifier.pth')
        cfg.model.teachers.classifier.update(checkpoint=str(path))
        cfg.model.teachers.classifier.config.model.num_classes = 4
        cfg.model.distillers.kd_cls = None
        refused(cfg, 'do not fit the teacher.s config', init=True)


def test_a_smaller_student_view_leaves_the_classifier_the_students_pictures(cfg):
    """The detector sees the pictures as they were loaded, the classifier the boxes of the student's."""
    cfg.model.student_scale = 0.5
    cfg.model.distillers = dict(hint=cfg.model.distillers.hint, kd_loc=cfg.model.distillers.kd_loc)
    detector, seen = build(cfg), {}
    for name, teacher in detector.teachers.items():
        observe = teacher.observe
        teacher.observe = lambda batch, n=name, of=observe: seen.setdefault(n, of(batch))
    losses = losses_of(detector, raw_batch(size=128))
    assert tuple(seen['detector'].canvas) == (128, 128)
    assert seen['classifier']._images.shape[-2:] == (64, 64)
    assert all(box.max() <= 64 for box in seen['classifier'].truth.boxes)
    assert all(loss.isfinite() for loss in soft_part(losses).values())
