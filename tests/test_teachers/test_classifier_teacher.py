"""A classifier that was trained on crops, as a teacher."""

import copy

import pytest
import torch
from helpers.classifier import KD_LOC, classifier_of, kd_cls, taught_by_classifier, tiny_classifier_cfg
from helpers.distil import build, losses_of, raw_batch, save_teacher, soft_part
from mmengine.config import Config
from mmengine.runner import Runner

from mmdet_kd.classifiers import CropClassifier
from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import Truth
from mmdet_kd.teachers import Batch, ClassifierTeacher


@pytest.fixture
def classifier(student_cfg):
    return classifier_of(student_cfg)


def batch(*counts):
    boxes = [torch.tensor([[4.0, 4.0, 20.0, 30.0]]).repeat(count, 1) for count in counts]
    labels = [torch.zeros(count, dtype=torch.long) for count in counts]
    images = torch.randn(len(counts), 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return Batch(images, Truth(boxes, labels), [tuple(image.shape[-2:]) for image in images], None)


def test_what_training_wrote_can_teach(student_cfg, tiny_set, tmp_path):
    """Trained by mmengine's Runner; loaded with weights only; its classes come along."""
    cfg = tiny_classifier_cfg(tiny_set, tmp_path)
    cfg.train_cfg.max_epochs = 1
    Runner.from_cfg(copy.deepcopy(cfg)).train()
    teacher = ClassifierTeacher(dict(model=cfg.model.to_dict()), next(tmp_path.glob('epoch_1.pth')))
    teacher.load(torch.device('cpu'))
    assert teacher.classes == cfg.train_dataloader.dataset.metainfo.classes
    assert not any(p.requires_grad for p in teacher.parameters())
    trained = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert all(torch.equal(value, trained[key]) for key, value in teacher.model.state_dict().items())
    assert teacher.observe(batch(2, 1)).logits.shape == (3, 3)


def test_it_is_in_eval_mode_and_its_memory_shared_by_copies(classifier):
    teacher = ClassifierTeacher(classifier, None)
    teacher.load(torch.device('cpu'))
    assert not any(module.training for module in teacher.train().modules())
    twin = copy.deepcopy(teacher)
    pairs = list(zip(teacher.parameters(), twin.parameters(), strict=True))
    assert all(one.data_ptr() == other.data_ptr() for one, other in pairs)
    assert not any(one is other for one, other in pairs)


@pytest.mark.parametrize('counts', [(0, 0), (0, 3), (5, 0, 1), (1,)])
@pytest.mark.parametrize('chunk', [1, 4, 256])
def test_logits_are_those_of_each_box_in_turn(classifier, counts, chunk):
    teacher = ClassifierTeacher(classifier, None, chunk=chunk)
    teacher.load(torch.device('cpu'))
    seen = batch(*counts)
    whole = torch.cat(
        [teacher.model.classify(seen.images[i : i + 1], [boxes]) for i, boxes in enumerate(seen.truth.boxes)]
    )
    torch.testing.assert_close(teacher.observe(seen).logits, whole)


def test_without_weights_it_complains(classifier):
    with pytest.raises(RuntimeError, match='has no weights yet'):
        ClassifierTeacher(classifier, None).observe(batch(1))


@pytest.mark.parametrize('chunk', [0, -1, 2.5, None])
def test_a_chunk_that_is_no_number_of_crops(classifier, chunk):
    with pytest.raises(DistillationError, match=r'teacher\.chunk is the number of crops'):
        ClassifierTeacher(classifier, None, chunk=chunk)


def test_a_detector_is_no_classifier(student_cfg):
    with pytest.raises(DistillationError, match='FasterRCNN is not a classifier of crops'):
        ClassifierTeacher(student_cfg, None).build_shape()


class TestThePair:
    def refused(self, cfg, match):
        with pytest.raises(DistillationError, match=match):
            build(cfg)

    @pytest.mark.parametrize(
        ('classes', 'match'),
        [
            (('circle', 'square', 'star'), 'does not know triangle.*Take a teacher trained on this set'),
            (('square', 'circle', 'triangle'), 'the same, in another order'),
        ],
    )
    def test_other_classes_or_another_order(self, student_cfg, classifier, tmp_path, classes, match, warned):
        path = save_teacher(Config(classifier), tmp_path / 'c.pth', dataset_meta=dict(classes=classes))
        cfg = taught_by_classifier(student_cfg, classifier, kd_cls=kd_cls())
        cfg.model.teacher.checkpoint = str(path)
        with pytest.raises(DistillationError, match=match) as raised:
            build(cfg)
        assert 'classes_by_name' not in str(raised.value)  # which a classifier does not have
        cfg.model.distillers = dict(kd_loc=KD_LOC)  # compares no classes
        build(cfg)
        assert [line for line in warned if 'No distiller compares classes' in line]

    @pytest.mark.parametrize('change', [dict(std=[1.0, 1.0, 1.0]), dict(mean=[0.0, 0.0, 0.0]), dict(bgr_to_rgb=False)])
    def test_another_normalisation(self, student_cfg, change):
        classifier = classifier_of(student_cfg)
        classifier['model']['data_preprocessor'] |= change
        self.refused(
            taught_by_classifier(student_cfg, classifier),
            "pixels that are normalised otherwise than the student's: train it with",
        )

    def test_another_padding_is_fine(self, student_cfg):
        classifier = classifier_of(student_cfg)
        classifier['model']['data_preprocessor'] |= dict(pad_size_divisor=1)
        detector = build(taught_by_classifier(student_cfg, classifier))
        assert soft_part(losses_of(detector, raw_batch(size=72)))['kd_loc.loss_loc'] > 0

    def test_weights_that_do_not_fit(self, student_cfg, classifier, tmp_path):
        path = save_teacher(Config(classifier), tmp_path / 'c.pth')
        cfg = taught_by_classifier(student_cfg, classifier_of(student_cfg, num_classes=5), kd_loc=KD_LOC)
        cfg.model.teacher.checkpoint = str(path)
        self.refused(cfg, "do not fit the teacher's config.*\n.*fc.weight")

    def test_an_untrained_one_warns(self, student_cfg, warned):
        build(taught_by_classifier(student_cfg))
        assert warned[0].startswith('The teacher is untrained')

    def test_a_good_pair_has_nothing_to_complain_about(self, student_cfg, classifier, tmp_path, warned):
        classes = ('circle', 'square', 'triangle')
        path = save_teacher(Config(classifier), tmp_path / 'c.pth', dataset_meta=dict(classes=classes))
        cfg = taught_by_classifier(student_cfg, classifier, kd_cls=kd_cls(), kd_loc=KD_LOC)
        cfg.model.teacher.checkpoint = str(path)
        assert isinstance(build(cfg).teacher.model, CropClassifier)
        assert not warned
