"""Each view of a RoI head says what the head itself uses; what is not answered is refused at build."""

import pytest
import torch
from helpers.classifier import KD_LOC, kd_cls, taught_by_classifier
from helpers.distil import AS_ALONE, ROI, build, distilled_cfg, losses_of, total
from helpers.two_stage import (
    ONLY_STUDENTS,
    REFUSED_ROI_HEADS,
    ROI_HEADS,
    WITHOUT_DELTAS,
    spread,
    step_of_own,
    two_pictures,
)
from mmdet.models import roi_heads
from mmdet.models.roi_heads import BaseRoIHead, StandardRoIHead, bbox_heads
from mmdet.models.roi_heads.bbox_heads import BBoxHead, Shared2FCBBoxHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor

from mmdet_kd.distillers.boxes import select_class
from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import BoxHeadView, RoIView, Truth, box_heads, find_view, known_heads
from mmdet_kd.knowledge import ClassMap, observe_student, record_calls

#: Every head that is a student of some distiller.
STUDENTS = ROI_HEADS | {name: change for name, (change, _) in (WITHOUT_DELTAS | ONLY_STUDENTS).items()}
CLASSES = 3
#: TridentNet's trains in a detector with branches alone, see test_any_detector.py.
TRAINED = [name for name in ROI_HEADS if name != 'trident']
ROI_CLS = {name: value for name, value in ROI.items() if name != 'loss_bbox'}


def swept(names, *quick):
    """All names, of which a few are tried in the quick suite."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


class Observed:
    """One step of a detector whose RoI head is in eval mode, so that it says the same when asked again."""

    def __init__(self, cfg, batch):
        self.detector = spread(build(cfg), 'roi_head')
        self.detector.roi_head.eval()
        self.heads = box_heads(self.detector.roi_head)
        self.view = find_view(self.detector.roi_head, RoIView)
        self.truth = Truth.of(batch['data_samples'])
        source = 'neck' if self.detector.with_neck else 'backbone'
        points = {f'cls{stage}': (head.loss_cls, 'forward') for stage, head in enumerate(self.heads)}
        points |= {
            f'bbox{s}': (head.loss_bbox, 'forward') for s, head in enumerate(self.heads) if 'loss_bbox' in dir(head)
        }
        with observe_student(self.detector, ['roi', source]) as student, record_calls(points) as calls:
            step_of_own(self.detector, batch)
            self.maps = student.features(source)
            self.stages = list(student.roi_stages())
            self.positives = [student.roi_positives(stage, self.truth) for stage, _, _ in self.stages]
        self.given = {  # but for those that samplers and PISA ask for, a loss of each RoI
            name: [list(c.arguments.values())[:3] for c in of_name if c.arguments.get('reduction_override') != 'none']
            for name, of_name in calls.items()
        }


@pytest.mark.parametrize('name', swept(STUDENTS, 'sigmoid', 'cascade', 'pisa', 'sabl', 'htc_semantic'))
def test_outputs_and_targets_are_what_the_heads_own_losses_are_given(student_cfg, name):
    step = Observed(STUDENTS[name](student_cfg), two_pictures())
    assert [stage for stage, _, _ in step.stages] == list(range(len(step.heads)))
    for (stage, outputs, targets), positives in zip(step.stages, step.positives, strict=True):
        view = step.view.stages[stage]
        (cls,) = step.given[f'cls{stage}']
        assert all(torch.equal(a, b) for a, b in zip((outputs.cls_score, *targets[1:3]), cls, strict=True))
        positive = ((targets.labels >= 0) & (targets.labels < CLASSES)).nonzero()[:, 0]
        assert torch.equal(positives.rows, positive)
        assert min(positives.counts) > 0, 'each picture was to have positive RoIs'
        pictures = torch.arange(2).repeat_interleave(torch.tensor(positives.counts))
        assert torch.equal(targets.rois[positive, 0].long(), pictures)
        assert torch.equal(torch.arange(2).repeat_interleave(torch.tensor([4, 2]))[positives.truth], pictures)
        assert torch.equal(torch.cat(step.truth.labels)[positives.truth], targets.labels[positive])
        if outputs.bbox_pred is None:
            assert targets.bbox_targets is None
            continue
        (bbox,) = step.given[f'bbox{stage}']
        rois, boxes = targets.rois[positive, 1:], torch.cat(step.truth.boxes)[positives.truth]
        deltas = select_class(outputs.bbox_pred, targets.labels)[positive]
        regressed = view.coder.decode(rois, deltas) if view.targets_are_boxes else deltas
        ours = regressed, targets.bbox_targets[positive], targets.bbox_weights[positive]
        torch.testing.assert_close(ours, tuple(bbox), rtol=1e-5, atol=1e-5)
        aims = boxes if view.targets_are_boxes else view.coder.encode(rois, boxes)
        torch.testing.assert_close(targets.bbox_targets[positive], aims)


@pytest.mark.parametrize('name', swept(ROI_HEADS | WITHOUT_DELTAS, 'sigmoid', 'cascade', 'double', 'sabl'))
def test_of_given_rois_it_says_what_it_says_in_the_step_and_predicts(student_cfg, name):
    """Scores and boxes are those of the head's own prediction, before NMS."""
    step = Observed(STUDENTS[name](student_cfg), two_pictures())
    for stage, outputs, targets in step.stages:
        head, view = step.heads[stage], step.view.stages[stage]
        with torch.no_grad():
            found = step.view.of_rois(stage, step.maps, targets.rois)
        torch.testing.assert_close(found, type(found)(*(None if o is None else o.detach() for o in outputs)))
        assert found.cls_score.std() > 1e-2
        predicted = head.predict_by_feat(
            (targets.rois,),
            (found.cls_score,),
            (found.bbox_pred,),
            [dict(img_shape=(10**6, 10**6), scale_factor=(1, 1))],
            rcnn_test_cfg=None,
        )[0]
        scores = found.cls_score.sigmoid() if view.use_sigmoid else found.cls_score.softmax(dim=1)
        torch.testing.assert_close(scores, predicted.scores[:, : scores.shape[1]])
        if found.bbox_pred is None:
            continue
        rois, asked = targets.rois[:, 1:], predicted.bboxes.view(len(targets.rois), -1, 4)
        for place in range(asked.shape[1]):
            boxes = view.coder.decode(rois, select_class(found.bbox_pred, torch.full_like(targets.labels, place)))
            torch.testing.assert_close(get_box_tensor(boxes).clamp(min=0), asked[:, place])


@pytest.mark.parametrize('name', swept(TRAINED, 'pisa', 'cascade_sigmoid'))
def test_a_head_that_answers_all_trains_by_a_detector(student_cfg, teacher_cfg, name):
    cfg = distilled_cfg(ROI_HEADS[name](student_cfg), ROI_HEADS[name](teacher_cfg), None, roi=ROI)
    assert_trains(cfg, ('roi.loss_cls',))


@pytest.mark.parametrize('name', swept(WITHOUT_DELTAS, 'sabl'))
def test_without_deltas_the_scores_are_distilled(student_cfg, teacher_cfg, name):
    change, _ = WITHOUT_DELTAS[name]
    assert_trains(distilled_cfg(change(student_cfg), change(teacher_cfg), None, roi=ROI_CLS), ('roi.loss_cls',))


@pytest.mark.parametrize('name', swept(ONLY_STUDENTS))
def test_a_head_with_another_branch_learns_from_one_without(student_cfg, teacher_cfg, name):
    change, _ = ONLY_STUDENTS[name]
    assert_trains(distilled_cfg(change(student_cfg), teacher_cfg, None, roi=ROI), ('roi.loss_cls',))


@pytest.mark.parametrize('name', swept([*TRAINED, *ONLY_STUDENTS], 'pisa'))
def test_a_classifier_teaches_classes_and_boxes(student_cfg, name):
    cfg = STUDENTS[name](student_cfg)
    heads = cfg.model.roi_head.bbox_head
    kind = (heads[0] if isinstance(heads, list) else heads).loss_cls
    sigmoid = kind.get('use_sigmoid', False) and 'Custom' in kind.type
    cfg = taught_by_classifier(cfg, kd_cls=kd_cls(sigmoid), kd_loc=KD_LOC)
    assert_trains(cfg, ('kd_cls.loss_cls', 'kd_loc.loss_loc'))


@pytest.mark.parametrize('name', swept(WITHOUT_DELTAS))
def test_without_deltas_a_classifier_teaches_classes_alone(student_cfg, name):
    change, reason = WITHOUT_DELTAS[name]
    assert_trains(taught_by_classifier(change(student_cfg), kd_cls=kd_cls()), ('kd_cls.loss_cls',))
    with pytest.raises(DistillationError, match=f"ClassifierLocDistiller: the student's {reason}"):
        build(taught_by_classifier(change(student_cfg), kd_loc=KD_LOC), init=False)


@pytest.mark.slow
@pytest.mark.parametrize('by_name', [False, True])
def test_scores_that_are_not_compared_may_be_of_any_kind(student_cfg, teacher_cfg, by_name):
    change, _ = REFUSED_ROI_HEADS['seesaw']
    only_boxes = {name: value for name, value in ROI.items() if name != 'loss_cls'}
    cfg = distilled_cfg(change(student_cfg), change(teacher_cfg), None, roi=only_boxes)
    cfg.model.teacher.update(AS_ALONE)
    cfg.model.distillers.roi.loss_bbox.margin = float('inf')
    detector = build(cfg)
    if by_name:
        detector.teacher.class_map = ClassMap([2, 0, 1], CLASSES)
    losses = losses_of(detector, two_pictures())
    losses['roi.loss_bbox'].backward()
    assert detector.roi_head.bbox_head.fc_reg.weight.grad.abs().sum() > 0
    assert detector.roi_head.bbox_head.fc_cls.weight.grad is None


def test_stages_that_score_in_two_ways_have_no_one_loss(student_cfg):
    cfg = ROI_HEADS['cascade'](student_cfg)
    cfg.model.roi_head.bbox_head[1].loss_cls = dict(type='CrossEntropyCustomLoss', use_sigmoid=True, num_classes=3)
    with pytest.raises(DistillationError, match=r'some stages of the .*CascadeRoIHead score by sigmoids'):
        build(taught_by_classifier(cfg, kd_cls=kd_cls()), init=False)
    build(taught_by_classifier(cfg, kd_loc=KD_LOC), init=False)


def assert_trains(cfg, parts):
    """One real step, in which the soft losses alone move the student's box heads."""
    if 'checkpoint' in cfg.model.teacher and cfg.model.teacher.get('type') is None:
        cfg.model.teacher.update(AS_ALONE)
    detector = build(cfg)
    losses = losses_of(detector, two_pictures())
    assert {part for part in losses if part.split('.')[0] in detector.distillers and '.loss_' in part} >= set(parts)
    sum(losses[part] for part in parts).backward()
    for part in parts:
        assert losses[part].item() > 0
    for head in box_heads(detector.roi_head):
        assert head.fc_cls.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in detector.parameters())
    assert total(losses).isfinite()


# What is refused.


def refuse(sides, side, change, reason, roi):
    sides[side] = change(sides[side])
    with pytest.raises(DistillationError, match=f"(?s)RoIDistiller: the {side}'s {reason}") as caught:
        build(distilled_cfg(sides['student'], sides['teacher'], None, roi=roi), init=False)
    return caught.value.problems


@pytest.mark.parametrize('side', ['student', 'teacher'])
@pytest.mark.parametrize('name', swept(WITHOUT_DELTAS, 'sabl'))
def test_deltas_that_are_not_there_are_refused_with_the_cure(student_cfg, teacher_cfg, name, side):
    sides = dict(student=student_cfg, teacher=teacher_cfg)
    assert all('Leave loss_bbox out' in problem for problem in refuse(sides, side, *WITHOUT_DELTAS[name], ROI))


@pytest.mark.parametrize('name', swept(ONLY_STUDENTS, 'scnet_context'))
def test_a_teacher_whose_box_heads_read_another_branch_is_refused(student_cfg, teacher_cfg, name):
    sides = dict(student=student_cfg, teacher=teacher_cfg)
    assert len(refuse(sides, 'teacher', *ONLY_STUDENTS[name], ROI)) == 1


@pytest.mark.parametrize('side', ['student', 'teacher'])
@pytest.mark.parametrize('name', swept(REFUSED_ROI_HEADS, 'sparse'))
def test_a_head_that_says_nothing_is_refused(student_cfg, teacher_cfg, name, side):
    sides = dict(student=student_cfg, teacher=teacher_cfg)
    assert len(refuse(sides, side, *REFUSED_ROI_HEADS[name], ROI_CLS)) == 1


@pytest.mark.slow
@pytest.mark.parametrize('name', REFUSED_ROI_HEADS)
def test_a_classifier_is_no_teacher_of_it_either(student_cfg, name):
    change, reason = REFUSED_ROI_HEADS[name]
    with pytest.raises(DistillationError, match=f"ClassifierClsDistiller: the student's {reason}"):
        build(taught_by_classifier(change(student_cfg), kd_cls=kd_cls()), init=False)


def test_every_roi_head_and_box_head_of_mmdet_is_known():
    """Answered or refused by a view of its class, or of one from which it inherits all that decides."""
    of_boxes = [getattr(bbox_heads, name) for name in bbox_heads.__all__]
    of_rois = [each for each in vars(roi_heads).values() if isinstance(each, type) and issubclass(each, BaseRoIHead)]
    assert len(of_rois) == 14
    for head, sort in [(each, BoxHeadView) for each in of_boxes] + [(each, RoIView) for each in of_rois]:
        if head is BaseRoIHead:  # of which there is none
            continue
        base = next(base for base in head.__mro__ if base in known_heads())
        view = known_heads()[base]
        assert issubclass(view, sort)
        assert [name for name in view.decisive if getattr(head, name) is not getattr(base, name)] == [], head


def test_box_heads_of_other_layers_are_known_and_of_other_losses_are_not(student_cfg):
    """What decides is what is recorded: the loss and the targets."""

    class Wider(Shared2FCBBoxHead):
        def forward(self, x):
            return super().forward(2 * x)

    class Weighed(BBoxHead):
        def loss(self, *args, **kwargs):
            return super().loss(*args, **kwargs)

    settings = {k: v for k, v in student_cfg.model.roi_head.bbox_head.items() if k not in ('type', 'fc_out_channels')}
    assert find_view(Wider(**settings), BoxHeadView).why_not('scores') is None
    assert 'it overrides loss of BBoxHead' in find_view(Weighed(**settings), BoxHeadView).why_not('scores')


def test_a_roi_head_that_trains_in_another_way_is_refused(student_cfg, teacher_cfg):
    @MODELS.register_module(force=True)
    class TwiceRoIHead(StandardRoIHead):
        def bbox_loss(self, x, sampling_results):
            super().bbox_loss(x, sampling_results)
            return super().bbox_loss(x, sampling_results)

    student_cfg.model.roi_head.type = 'TwiceRoIHead'
    with pytest.raises(DistillationError, match=r'TwiceRoIHead does not say .*: it overrides bbox_loss of StandardRoI'):
        build(distilled_cfg(student_cfg, teacher_cfg, None, roi=ROI), init=False)


def test_scores_are_read_as_their_loss_reads_them(student_cfg):
    """A loss that chooses the number of scores may read them in any way; it is tried."""
    head = build(ROI_HEADS['sigmoid'](student_cfg), init=False).roi_head.bbox_head
    assert find_view(head, BoxHeadView).use_sigmoid is True
    head.loss_cls.get_activation = lambda scores: scores.sigmoid() ** 2
    assert find_view(head, BoxHeadView).use_sigmoid is None
    assert 'by C sigmoids' in find_view(head, BoxHeadView).why_not('scores')
