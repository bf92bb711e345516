"""Law 7: no host synchronisation and no Python loop over boxes in a distiller or a loss."""

import pytest
import torch
from helpers.classifier import KD_LOC, kd_cls, taught_by_classifier
from helpers.distil import METHOD, build, distilled_cfg, raw_batch, taught
from helpers.one_stage import retinanet
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from mmdet_kd.detectors import KnowledgeDistillationMixin
from mmdet_kd.knowledge import Call, StudentKnowledge, TeacherKnowledge, observe_student


class OpCounter(TorchDispatchMode):
    """Counts the operations that reach torch."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


class Seen:
    """What the teacher said of a step, kept, so that the distillers can be run again on other tensors."""

    def __init__(self, knowledge: TeacherKnowledge, rois: list[torch.Tensor]):
        self.canvas, self.ratios = knowledge.canvas, knowledge.ratios
        self.maps = knowledge.features('neck')
        self.rpn = knowledge.rpn if rois else None
        self.dense = None if rois else knowledge.dense
        self._roi = [knowledge.roi(stage, r) for stage, r in enumerate(rois)]

    def features(self, source):
        return self.maps

    def roi(self, stage, rois):
        return self._roi[stage]


def one_step(detector, boxes):
    """The calls of one step, and the teacher's answers."""
    data = detector.data_preprocessor(raw_batch((boxes, boxes)), training=True)
    torch.manual_seed(0)
    kinds = {kind for distiller in detector.distillers.values() for kind in distiller.kinds}
    with observe_student(detector, kinds, tuple(data['inputs'].shape[-2:])) as student:
        super(KnowledgeDistillationMixin, detector).loss(data['inputs'], data['data_samples'])
        calls = dict(student._calls)
        rois = [targets.rois for _, _, targets in student.roi_stages()]
        knowledge = taught(detector, data)
        return calls, Seen(knowledge, rois), student.canvas


# the detector, and one of its distillers
EACH = pytest.mark.parametrize(
    ('detector', 'name'),
    [*((scale, name) for scale in (None, 0.5) for name in METHOD), ('one-stage', 'dense')],
    indirect=['detector'],
)


@pytest.fixture
def detector(request, student_cfg, teacher_cfg):
    """Of the two-stage family, with the pictures of the student at a scale, or of the other."""
    if request.param == 'one-stage':
        return build(distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg), None))
    student_cfg.model.train_cfg.rcnn.sampler.num = 64
    cfg = distilled_cfg(student_cfg, teacher_cfg, None)
    if request.param:
        cfg.model.student_scale = request.param
        cfg.model.rpn_head.anchor_generator.scales = [2]
    return build(cfg)


@EACH
def test_no_number_is_asked_for_on_the_host(detector, name):
    """Fake tensors have no numbers: whoever asks for one, by item(), a branch or a mask, gets an error."""
    calls, seen, canvas = one_step(detector, boxes=3)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:

        def fake(value):
            return mode.from_tensor(value) if isinstance(value, torch.Tensor) else value

        calls = {
            name: [Call({k: tree_map(fake, v) for k, v in c.arguments.items()}, tree_map(fake, c.result)) for c in cs]
            for name, cs in calls.items()
        }
        for part in ('maps', 'rpn', 'dense', '_roi', 'ratios'):
            setattr(seen, part, tree_map(fake, getattr(seen, part)))
        losses = detector.distillers[name](StudentKnowledge(calls, canvas), seen)
    assert losses
    assert all(isinstance(loss, FakeTensor) for loss in losses.values())


@EACH
def test_the_number_of_operations_does_not_grow_with_the_boxes(detector, name):
    counts = []
    for boxes in (1, 12):
        calls, seen, canvas = one_step(detector, boxes)
        with OpCounter() as counter:
            detector.distillers[name](StudentKnowledge(calls, canvas), seen)
        counts.append(counter.count)
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize('name', ['kd_cls', 'kd_loc'])
class TestAClassifierOnRoIs:
    """How many RoIs are positive is known from the shapes of what the student sampled."""

    @pytest.fixture
    def detector(self, student_cfg):
        student_cfg.model.train_cfg.rcnn.sampler.num = 64
        return build(taught_by_classifier(student_cfg, kd_cls=kd_cls(), kd_loc=KD_LOC))

    def step(self, detector, boxes):
        data = detector.data_preprocessor(raw_batch((boxes, boxes)), training=True)
        torch.manual_seed(0)
        with observe_student(detector, ('roi',), tuple(data['inputs'].shape[-2:])) as student:
            super(KnowledgeDistillationMixin, detector).loss(data['inputs'], data['data_samples'])
            return StudentKnowledge(dict(student._calls), student.canvas), taught(detector, data)

    def test_no_number_is_asked_for_on_the_host(self, detector, name):
        student, knowledge = self.step(detector, boxes=3)
        with FakeTensorMode(allow_non_fake_inputs=True):
            losses = detector.distillers[name](student, knowledge)
        assert all(isinstance(loss, FakeTensor) for loss in losses.values())

    def test_the_number_of_operations_does_not_grow_with_the_boxes(self, detector, name):
        counts = []
        for boxes in (1, 12):
            student, knowledge = self.step(detector, boxes)
            with OpCounter() as counter:
                detector.distillers[name](student, knowledge)
            counts.append(counter.count)
        assert counts[0] == counts[1] > 0


def test_fake_tensors_would_tell():
    """What makes the first test a test."""
    with FakeTensorMode():
        weights = torch.ones(4)
        with pytest.raises(DataDependentOutputException):
            weights.sum().item()
        with pytest.raises(DynamicOutputShapeException):
            weights[weights > 0]
