"""Law 7: no host synchronisation and no Python loop over boxes in a distiller or a loss.

Without a GPU no test sees a synchronisation itself. What is tested is what causes one: a number that is read from a
tensor (fake tensors have none), a tensor that is made of numbers of the host (a copy to the device, which waits for
it), and one that is made without a device and so on the host.
"""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from helpers.architectures import faster
from helpers.classifier import KD_LOC, classifier_of, kd_cls, taught_by_classifier
from helpers.distil import DENSE, HINT, METHOD, ROI, build, distilled_cfg, raw_batch, step_of, taught
from helpers.one_stage import fcos, gfl, retinanet
from helpers.point_heads import POINT_HEADS
from helpers.two_stage import two_pictures, with_masks
from helpers.waits import OF_MMDET, line_outside_torch, soft_losses
from mmdet.registry import MODELS
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from mmdet_kd.detectors import KnowledgeDistillationMixin
from mmdet_kd.detectors.student_view import shrink
from mmdet_kd.heads import Call, DensePredictions
from mmdet_kd.knowledge import ClassMap, StudentKnowledge, TeacherKnowledge, observe_student


class OpCounter(TorchDispatchMode):
    """Counts the operations that reach torch."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


class HostNumbers(TorchDispatchMode):
    """Counts, by the line that made it, each tensor that was made of numbers of the host.

    `tensor[:, 2:] = 1` makes one too, but fills it in: a kernel gets such a number as its argument.
    """

    def __init__(self):
        super().__init__()
        self._lines, self._lifted = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.lift_fresh.default:
            self._lines.append(line_outside_torch())
            self._lifted.append(result)
        elif func is torch.ops.aten.fill_.Tensor and self._lifted and args[1] is self._lifted[-1]:
            self._lines.pop()
            self._lifted.pop()
        return result

    @property
    def lines(self):
        return Counter(self._lines)


def copies(call):
    """Who makes tensors of numbers of the host, or without a device, while ``call`` runs."""
    # A tensor that is made without a device lies where nobody can read it, so that whoever mixes it with others fails.
    with torch.device('meta'), HostNumbers() as host:
        call()
    return set(host.lines) - OF_MMDET


class Seen:
    """What the teacher said of a step, kept, so that the distillers can be run again on other tensors."""

    def __init__(self, knowledge: TeacherKnowledge, rois: list[torch.Tensor]):
        self.maps = knowledge.features('neck')
        self.rpn = knowledge.rpn if rois else None
        self.dense = None if rois else knowledge.dense
        self.crossed = knowledge.crossed
        self._roi = [knowledge.roi(stage, r) for stage, r in enumerate(rois)]

    def features(self, source):
        return self.dense.score_maps if source == 'dense.cls' else self.maps

    def roi(self, stage, rois):
        return self._roi[stage]


def one_step(detector, boxes):
    """The calls of one step, and the teacher's answers."""
    data = detector.data_preprocessor(raw_batch((boxes, boxes)), training=True)
    torch.manual_seed(0)
    kinds = {kind for distiller in detector.distillers.values() for kind in distiller.kinds}
    with observe_student(detector, kinds) as student:
        super(KnowledgeDistillationMixin, detector).loss(data['inputs'], data['data_samples'])
        calls = dict(student._calls)
        rois = [targets.rois for _, _, targets in student.roi_stages()] if 'roi' in kinds else []
        knowledge = taught(detector, data)
        return calls, Seen(knowledge, rois), step_of(data, knowledge), student._views


FGFI = {**HINT, 'loss': dict(type='FGFILoss')}
SCORES = dict(type='FeatureDistiller', source='dense.cls', loss=dict(type='CWDLoss'))
#: Of the predictions of a dense head.
PREDICTIONS = dict(
    bckd=dict(type='BCKDDistiller'),
    boxes=dict(type='DenseHeadDistiller', loss_bbox=dict(type='GIoULoss'), priors='all'),
    relations=dict(type='DenseHeadDistiller', loss_cls=dict(type='DISTLoss', use_sigmoid=True), priors='all'),
)
# their views differ; heads of masks, which need masks, have the same views as others, and RepPoints' forward makes its
# grids on the host
OTHER_HEADS = [head for head in POINT_HEADS if '_ins' not in head and 'grids' not in head]
# the detector, and one of its distillers
EACH = pytest.mark.parametrize(
    ('detector', 'name'),
    [
        *((scale, name) for scale in (None, 0.5) for name in METHOD),
        *(('one-stage', name) for name in ('dense', 'scores')),
        ('one-stage', 'bckd'),
        *(pytest.param('one-stage', name, marks=pytest.mark.slow) for name in ('boxes', 'relations')),
        ('gfl', 'ld'),
        ('gfl', 'crosskd'),
        (0.5, 'fgfi'),
        *(pytest.param(family, 'fgfi', marks=pytest.mark.slow) for family in (None, 'one-stage')),
        *(pytest.param(head, 'dense', marks=pytest.mark.slow) for head in OTHER_HEADS),
    ],
    indirect=['detector'],
)


@pytest.fixture
def detector(request, student_cfg, teacher_cfg):
    """Of the two-stage family, with the pictures of the student at a scale, or of the other."""
    if request.param == 'one-stage':
        distillers = dict(hint=HINT, dense=DENSE, fgfi=FGFI, scores=SCORES, **PREDICTIONS)
        return build(distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg), None, **distillers))
    if request.param == 'gfl':
        ld = dict(type='LDDistiller', cls_weight=1.0)
        crosskd = dict(type='CrossKDDistiller', depth=1, boxes='distributions', adapter=dict(type='ConvAdapter'))
        return build(distilled_cfg(gfl(student_cfg), gfl(teacher_cfg), None, ld=ld, crosskd=crosskd))
    if request.param in POINT_HEADS:
        head = POINT_HEADS[request.param]
        dense = dict(DENSE, objectness_weight=1.0) if request.param == 'yolox' else DENSE
        return build(distilled_cfg(head(student_cfg), head(teacher_cfg), None, dense=dense))
    student_cfg.model.train_cfg.rcnn.sampler.num = 64
    cfg = distilled_cfg(student_cfg, teacher_cfg, None, **METHOD, fgfi=FGFI)
    if request.param:
        cfg.model.student_scale = request.param
        cfg.model.rpn_head.anchor_generator.scales = [2]
    return build(cfg)


@EACH
def test_no_number_is_asked_for_on_the_host(detector, name):
    """Fake tensors have no numbers: whoever asks for one, by item(), a branch or a mask, gets an error."""
    calls, seen, step, views = one_step(detector, boxes=3)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:

        def fake(value):
            return mode.from_tensor(value) if isinstance(value, torch.Tensor) else value

        calls = {
            name: [Call({k: tree_map(fake, v) for k, v in c.arguments.items()}, tree_map(fake, c.result)) for c in cs]
            for name, cs in calls.items()
        }
        for part in ('maps', 'rpn', '_roi'):
            setattr(seen, part, tree_map(fake, getattr(seen, part)))
        if seen.dense is not None:
            seen.dense = DensePredictions(views['dense'], tree_map(fake, seen.dense.maps))
        step = replace(step, truth=tree_map(fake, step.truth), ratios=tree_map(fake, step.ratios))
        losses = detector.distillers[name](StudentKnowledge(calls, views), seen, step)
    assert losses
    assert all(isinstance(loss, FakeTensor) for loss in losses.values())


@EACH
def test_the_number_of_operations_does_not_grow_with_the_boxes(detector, name):
    counts = []
    for boxes in (2, 12):  # a dimension of one spares copies
        calls, seen, step, views = one_step(detector, boxes)
        with OpCounter() as counter:
            detector.distillers[name](StudentKnowledge(calls, views), seen, step)
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
        with observe_student(detector, ('roi',)) as student:
            super(KnowledgeDistillationMixin, detector).loss(data['inputs'], data['data_samples'])
            knowledge = taught(detector, data)
            return StudentKnowledge(dict(student._calls), student._views), knowledge, step_of(data, knowledge)

    def test_no_number_is_asked_for_on_the_host(self, detector, name):
        sides = self.step(detector, boxes=3)
        with FakeTensorMode(allow_non_fake_inputs=True):
            losses = detector.distillers[name](*sides)
        assert all(isinstance(loss, FakeTensor) for loss in losses.values())

    def test_the_number_of_operations_does_not_grow_with_the_boxes(self, detector, name):
        counts = []
        for boxes in (1, 12):
            sides = self.step(detector, boxes)
            with OpCounter() as counter:
                detector.distillers[name](*sides)
            counts.append(counter.count)
        assert counts[0] == counts[1] > 0


class SeenMasks:
    """The teacher's masks of a step, kept; what cuts out its RoIs is mmdet's, and looks which level each is of."""

    def __init__(self, masks: list[torch.Tensor]):
        self._masks = masks

    def masks(self, stage, rois, labels):
        return self._masks[stage]


class TestMasks:
    @pytest.fixture
    def detector(self, student_cfg, teacher_cfg):
        student_cfg.model.train_cfg.rcnn.sampler.num = 64
        masks = dict(type='MaskDistiller', loss_mask=dict(type='SoftenedKLLoss', use_sigmoid=True))
        return build(distilled_cfg(with_masks(student_cfg), with_masks(teacher_cfg), None, masks=masks))

    def step(self, detector, boxes):
        data = detector.data_preprocessor(two_pictures((boxes, boxes)), training=True)
        torch.manual_seed(0)
        with observe_student(detector, ('roi.masks',)) as student:
            super(KnowledgeDistillationMixin, detector).loss(data['inputs'], data['data_samples'])
            knowledge = taught(detector, data)
            seen = SeenMasks([knowledge.masks(stage, own.rois, own.labels) for stage, own in student.roi_masks()])
            return StudentKnowledge(dict(student._calls), student._views), seen, step_of(data, knowledge)

    def test_no_number_is_asked_for_and_no_operation_is_one_of_a_box(self, detector):
        counts = []
        for boxes in (2, 12):
            sides = self.step(detector, boxes)
            with OpCounter() as counter:
                detector.distillers['masks'](*sides)
            counts.append(counter.count)
        assert counts[0] == counts[1] > 0
        with FakeTensorMode(allow_non_fake_inputs=True):
            losses = detector.distillers['masks'](*sides)
        assert all(isinstance(loss, FakeTensor) for loss in losses.values())

    def test_nothing_is_copied_to_the_device(self, detector):
        for call in soft_losses(detector, pictures=two_pictures()):
            assert copies(call) == set()


#: Of mmdet's heads and assigners, what copies numbers to the device when they assign priors.
OF_ASSIGNERS = {
    'bbox_overlaps.py:bbox_overlaps',
    'anchor_head.py:_get_targets_single',
    'max_iou_assigner.py:assign_wrt_overlaps',
    'gfl_head.py:_get_targets_single',
    'fcos_head.py:<listcomp>',
}


@pytest.mark.parametrize('family', [retinanet, *(pytest.param(f, marks=pytest.mark.slow) for f in (faster, fcos, gfl))])
class TestTheInstancesOfBothSides:
    """Choosing them and comparing their features waits for nothing; mmdet's assigners wait, as in the head's own step.

    That the choice asks for no number on the host is tested with it.
    """

    def detector(self, student_cfg, teacher_cfg, family, **gid):
        gid |= dict(type='GIDDistiller', adapter=dict(type='Conv3x3Adapter'), min_size=4.0)
        if family is faster:
            gid |= dict(predictions='rpn')
        return build(distilled_cfg(family(student_cfg), family(teacher_cfg), None, gid=gid))

    def test_nothing_else_is_copied_to_the_device(self, student_cfg, teacher_cfg, family):
        for call in soft_losses(self.detector(student_cfg, teacher_cfg, family)):
            assert copies(call) <= OF_ASSIGNERS
        for call in soft_losses(self.detector(student_cfg, teacher_cfg, family, cls_weight=None, bbox_weight=None)):
            assert copies(call) == set()

    def test_the_number_of_operations_does_not_grow_with_the_boxes(self, student_cfg, teacher_cfg, family):
        """Nor with the instances that are found."""
        counts = set()
        detector = self.detector(student_cfg, teacher_cfg, family, cls_weight=None, bbox_weight=None)
        (distiller,) = detector.distillers.values()
        for boxes, least in (((1, 1), 4.0), ((12, 12), 4.0), ((2, 3), 1e3)):
            distiller.min_size = least
            data = detector.data_preprocessor(raw_batch(boxes), training=True)
            with observe_student(detector, distiller.kinds) as student:
                super(KnowledgeDistillationMixin, detector).loss(data['inputs'], data['data_samples'])
                knowledge = taught(detector, data)
                step = step_of(data, knowledge)
                _ = knowledge.features('neck'), distiller._predicted(knowledge)
                with OpCounter() as counter:
                    distiller(student, knowledge, step)
            counts.add(counter.count)
        assert len(counts) == 1


class TestNothingIsCopiedToTheDevice:
    """Distillers, losses, both knowledges, crops, the smaller view: whatever a step runs."""

    @pytest.mark.parametrize(
        'detector',
        [None, 0.5, 'one-stage', *(pytest.param(head, marks=pytest.mark.slow) for head in OTHER_HEADS)],
        indirect=True,
    )
    def test_by_the_distillers_of_predictions_and_maps(self, detector):
        for call in soft_losses(detector):
            assert copies(call) == set()

    @pytest.mark.parametrize(
        ('family', 'chunk'),
        [
            (faster, 256),
            (faster, 2),
            (fcos, 256),
            (gfl, 2),
            *(pytest.param(POINT_HEADS[head], 256, id=head, marks=pytest.mark.slow) for head in OTHER_HEADS),
        ],
    )
    def test_by_a_classifier(self, family, chunk, student_cfg):
        cfg = taught_by_classifier(family(student_cfg), kd_cls=kd_cls(use_sigmoid=family is not faster), kd_loc=KD_LOC)
        cfg.model.teacher.chunk = chunk
        for call in soft_losses(build(cfg)):
            assert copies(call) == set()

    def test_by_classes_of_another_order_and_other_losses(self, student_cfg, teacher_cfg):
        distiller = {**ROI, 'loss_cls': {'type': 'SoftenedKLLoss'}}
        detector = build(distilled_cfg(student_cfg, teacher_cfg, None, hint=HINT, roi=distiller))
        detector.teacher.class_map = ClassMap([2, 0, 1], 3)
        for call in soft_losses(detector):
            assert copies(call) == set()

    @pytest.mark.parametrize('scale', [None, 0.5])
    @pytest.mark.parametrize('loss', ['CWDLoss', 'PKDLoss', 'MGDLoss', 'FGDLoss', 'FGFILoss', 'FKDLoss'])
    def test_by_losses_on_maps(self, student_cfg, teacher_cfg, loss, scale):
        """Those that are told the true boxes and the valid places, too; in pictures of another size."""
        cfg = distilled_cfg(student_cfg, teacher_cfg, None, hint={**HINT, 'loss': dict(type=loss)})
        cfg.model.student_scale = scale
        for call in soft_losses(build(cfg)):
            assert copies(call) == set()

    def test_by_the_smaller_view(self):
        batch = raw_batch((3, 0))
        assert copies(lambda: shrink(batch, 0.6)) == set()

    def test_by_a_classifier_that_trains(self, student_cfg):
        model = MODELS.build(classifier_of(student_cfg)['model'])
        for boxes in ((3, 2), (0, 0)):
            data = model.data_preprocessor(raw_batch(boxes), training=True)
            assert copies(lambda data=data: model(**data, mode='loss')) == set()

    def test_such_copies_would_show(self):
        row = torch.zeros(2, 4)

        def fill():
            row[:, 2:] = 1

        assert copies(fill) == set()
        for make in (
            lambda: torch.tensor([1.0, 2.0], device='cpu'),
            lambda: torch.tensor(1.0, device='cpu'),
            lambda: row.new_tensor([1.0] * 4),
            lambda: row[[1, 0]],
        ):
            assert copies(make) == {'test_law7.py:<lambda>'}
        with pytest.raises(RuntimeError, match='device'):
            copies(lambda: row + torch.arange(4.0))


def test_fake_tensors_would_tell():
    """What makes the first test a test."""
    with FakeTensorMode():
        weights = torch.ones(4)
        with pytest.raises(DataDependentOutputException):
            weights.sum().item()
        with pytest.raises(DynamicOutputShapeException):
            weights[weights > 0]
