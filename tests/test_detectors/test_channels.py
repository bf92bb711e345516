"""Pictures of one channel, or of four, from the loader to the weights."""

import copy

import pytest
import torch
from helpers.architectures import faster
from helpers.classifier import KD_LOC, classifier_of, kd_cls, taught_by_classifier
from helpers.distil import build, distilled_cfg, losses_of, raw_batch, total
from helpers.one_stage import retinanet
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import MODELS

from mmdet_kd.errors import DistillationError
from mmdet_kd.knowledge import MapShape, map_shapes


def seen(cfg, channels, mean=100.0):
    """A detector of pictures with so many channels, all normalised alike, since mmdet knows one mean or three."""
    cfg = copy.deepcopy(cfg)
    cfg.model.backbone.in_channels = channels
    cfg.model.data_preprocessor.update(mean=[mean], std=[50.0], bgr_to_rgb=False)
    return cfg


def pictures(channels, seed=0):
    batch = raw_batch(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    size = (channels, *batch['inputs'][0].shape[1:])
    batch['inputs'] = [torch.randint(0, 256, size, dtype=torch.uint8, generator=generator) for _ in batch['inputs']]
    return batch


def train_a_step(detector, channels):
    """The first convolution's gradient, of one step."""
    total(losses_of(detector, pictures(channels))).backward()
    return detector.backbone.conv1.weight.grad


@pytest.mark.parametrize(
    ('channels', 'family', 'teacher_mean'),
    [(1, faster, 100.0), (4, faster, 90.0), (1, retinanet, 90.0), (4, retinanet, 100.0)],
)
def test_a_detector_teaches(channels, family, teacher_mean, student_cfg, teacher_cfg):
    student, teacher = seen(family(student_cfg), channels), seen(family(teacher_cfg), channels, teacher_mean)
    detector = build(distilled_cfg(student, teacher, None))
    student_sees = detector.data_preprocessor(pictures(channels), training=True)['inputs']
    # The teacher's own maps are those of its own pictures, whatever the student makes of them.
    asked = []
    teacher_of = detector.teacher.detector.backbone
    teacher_of.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[0].clone()))
    if detector._views is not None:
        detector._views.take()
    gradient = train_a_step(detector, channels)
    assert gradient.shape[1] == channels
    assert (gradient.abs().sum(dim=(0, 2, 3)) > 0).all()  # each channel teaches
    torch.testing.assert_close(asked[0], student_sees + (100.0 - teacher_mean) / 50.0)


@pytest.mark.parametrize('channels', [1, 4])
def test_a_classifier_teaches(channels, student_cfg):
    student = seen(student_cfg, channels)
    classifier = classifier_of(student)
    classifier['model']['backbone'] = {**classifier['model']['backbone'], 'in_channels': channels}
    detector = build(taught_by_classifier(student, classifier, kd_cls=kd_cls(), kd_loc=KD_LOC))
    assert (train_a_step(detector, channels).abs().sum(dim=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize('channels', [1, 4])
def test_shapes_are_found(channels, student_cfg):
    shapes = map_shapes(build(seen(student_cfg, channels), init=False))
    assert shapes['neck'] == tuple(MapShape(16, stride) for stride in (4, 8, 16, 32, 64))


@pytest.mark.parametrize(('student', 'teacher'), [(1, 3), (3, 1), (4, 1)])
def test_sides_that_cannot_see_the_same_pictures_are_refused(student, teacher, student_cfg, teacher_cfg):
    cfg = distilled_cfg(seen(student_cfg, student), seen(teacher_cfg, teacher), None)
    with pytest.raises(
        DistillationError, match=f"student's .* {student} channels, the teacher's of {teacher}.*: take a"
    ):
        build(cfg, init=False)


def test_a_classifier_of_other_pictures_is_refused(student_cfg):
    student = seen(student_cfg, 1)
    with pytest.raises(DistillationError, match=r"student's .* 1 channels, the teacher's of 3"):
        build(taught_by_classifier(student, classifier_of(student)), init=False)


@pytest.mark.parametrize(
    ('channels', 'settings'),
    [
        (1, dict(mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0])),
        (4, dict(mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0])),
        (1, dict(bgr_to_rgb=True)),
        (4, dict(bgr_to_rgb=True)),  # leaves three of the channels
    ],
)
def test_a_preprocessor_of_colour_is_refused_for_other_pictures(channels, settings, student_cfg, teacher_cfg):
    """It would fail in the first step."""
    student, teacher = seen(student_cfg, channels), seen(teacher_cfg, channels)
    student.model.data_preprocessor.update(settings)
    with pytest.raises(DistillationError, match=r"student's .* data_preprocessor makes none .* bgr_to_rgb=False"):
        build(distilled_cfg(student, teacher, None), init=False)


@MODELS.register_module()
class GreyPreprocessor(DetDataPreprocessor):
    """Makes grey pictures of colour."""

    def forward(self, data, training=False):
        grey = [picture.float().mean(dim=0, keepdim=True) for picture in data['inputs']]
        return super().forward({**data, 'inputs': grey}, training)


def test_preprocessing_may_bring_the_sides_together(student_cfg, teacher_cfg):
    student = seen(student_cfg, 1)
    student.model.data_preprocessor.type = 'GreyPreprocessor'
    detector = build(distilled_cfg(student, teacher_cfg, None))
    assert train_a_step(detector, channels=3).shape[1] == 1
