"""Each view of an RPN says what the head itself uses; the other heads that may be an RPN are refused at build."""

import pytest
import torch
from helpers.distil import AS_ALONE, RPN, build, distilled_cfg, losses_of, total
from helpers.two_stage import REFUSED_RPN_HEADS, RPN_HEADS, spread, step_of_own, two_pictures
from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor

from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import RPNView, find_view, rows_of, sizes_of
from mmdet_kd.knowledge import observe_student, record_calls

EVERY = pytest.mark.parametrize('name', RPN_HEADS)
QUICK = ('softmax', 'two_convs', 'decoded', 'two_scales')
QUICKLY_REFUSED = (('fcos', 'student'), ('embedding', 'teacher'), ('guided', 'student'))
SWEPT = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RPN_HEADS]


def by_level(rows, sizes, anchors_a_cell):
    """Rows (N, M, ...) in the order of a head's losses: level by level, and picture by picture within one."""
    counts = [height * width * anchors_a_cell for height, width in sizes]
    return torch.cat([level.flatten(0, 1) for level in rows.split(counts, dim=1)])


@pytest.mark.parametrize('name', SWEPT)
def test_outputs_and_targets_are_what_the_heads_own_losses_are_given(student_cfg, name):
    detector = spread(build(RPN_HEADS[name](student_cfg)), 'rpn_head')
    head = detector.rpn_head
    view = find_view(head, RPNView)
    truth = [sample.gt_instances.bboxes for sample in two_pictures()['data_samples']]
    losses = {name: (getattr(head, name), 'forward') for name in ('loss_cls', 'loss_bbox')}
    with observe_student(detector, ['rpn']) as student, record_calls(losses) as given:
        step_of_own(detector, two_pictures())
        outputs, targets = student.rpn, student.rpn_targets
        cls, bbox = (
            [torch.cat([list(call.arguments.values())[place] for call in given[loss]]) for place in range(3)]
            for loss in ('loss_cls', 'loss_bbox')
        )
        avg_factors = {call.arguments['avg_factor'] for call in given['loss_cls']}
    sizes = sizes_of(outputs.cls_scores)
    scores = by_level(rows_of(outputs.cls_scores, view.score_channels), sizes, head.num_base_priors)
    deltas = by_level(rows_of(outputs.bbox_preds, 4), sizes, head.num_base_priors)
    assert torch.equal(scores, cls[0])
    assert torch.equal(by_level(targets.label_weights, sizes, head.num_base_priors), cls[2])
    assert avg_factors == {targets.avg_factor}
    anchors = by_level(targets.anchors.expand(2, -1, -1), sizes, head.num_base_priors)
    regressed = get_box_tensor(view.coder.decode(anchors, deltas)) if view.targets_are_boxes else deltas
    assert torch.equal(regressed, bbox[0])
    assert torch.equal(by_level(targets.bbox_targets, sizes, head.num_base_priors), bbox[1])
    assert torch.equal(by_level(targets.bbox_weights, sizes, head.num_base_priors), bbox[2])
    for image, boxes in enumerate(truth):  # each positive anchor aims at a box of its own picture
        positive = targets.bbox_weights[image, :, 0] > 0
        aims, anchors = targets.bbox_targets[image][positive], targets.anchors[positive]
        decoded = aims if view.targets_are_boxes else get_box_tensor(view.coder.decode(anchors, aims))
        nearest = boxes[torch.cdist(decoded, boxes, p=1).argmin(dim=1)]
        assert len(aims) > 0
        torch.testing.assert_close(aims, nearest if view.targets_are_boxes else view.coder.encode(anchors, nearest))


@EVERY
def test_boxes_and_scores_are_those_that_the_head_proposes(student_cfg, name):
    """mmdet's own proposals, none of them left out: in the order of their scores, which are unlike."""
    detector = spread(build(RPN_HEADS[name](student_cfg)), 'rpn_head').eval()
    head = detector.rpn_head
    view = find_view(head, RPNView)
    metas = [dict(img_shape=(10**6, 10**6), scale_factor=(1, 1))] * 2
    every = dict(nms_pre=-1, max_per_img=10**6, min_bbox_size=-1, nms=dict(type='nms', iou_threshold=1.0))
    with torch.no_grad():
        raw = head(detector.extract_feat(torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2))
        outputs = view.outputs(raw)
        asked = head.predict_by_feat(*raw, batch_img_metas=metas, cfg=type(detector.test_cfg)(every))
    anchors = torch.cat(view.anchors(sizes_of(outputs.cls_scores), torch.device('cpu')))
    scores, deltas = rows_of(outputs.cls_scores, view.score_channels), rows_of(outputs.bbox_preds, 4)
    for image, proposals in enumerate(asked):
        objects = scores[image].sigmoid()[:, 0] if view.score_channels == 1 else scores[image].softmax(1)[:, 0]
        boxes = get_box_tensor(view.coder.decode(anchors, deltas[image]))
        inside = boxes.clamp(min=0)  # mmdet clips to the picture
        assert len(proposals) == len(inside)
        ours, theirs = (
            torch.cat([b, s[:, None]], dim=1) for b, s in ((inside, objects), (proposals.bboxes, proposals.scores))
        )
        assert (ours[:, 2:4] - ours[:, :2]).std() > 1
        torch.testing.assert_close(sorted_rows(ours), sorted_rows(theirs), rtol=1e-4, atol=1e-3)


def sorted_rows(rows):
    """Rows in an order that depends on the numbers alone."""
    keys = (rows.double() * torch.tensor([1.0, 3.7, 0.31, 9.1, 1e4], dtype=torch.float64)).sum(dim=1)
    return rows[keys.argsort()]


@pytest.mark.parametrize(
    'name', [name if name == 'softmax' else pytest.param(name, marks=pytest.mark.slow) for name in RPN_HEADS]
)
def test_a_head_that_is_answered_trains(student_cfg, name):
    cfg = distilled_cfg(*[RPN_HEADS[name](student_cfg)] * 2, None, rpn=RPN)
    cfg.model.teacher.update(AS_ALONE)
    detector = build(cfg)
    losses = losses_of(detector, two_pictures())
    total(losses).backward()
    assert losses['rpn.loss_cls'] > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in detector.rpn_head.parameters())


@pytest.mark.parametrize(
    ('name', 'side'),
    [
        pytest.param(name, side, marks=() if (name, side) in QUICKLY_REFUSED else pytest.mark.slow)
        for name in REFUSED_RPN_HEADS
        for side in ('student', 'teacher')
    ],
)
def test_another_head_is_refused_at_build(student_cfg, teacher_cfg, name, side):
    """A real detector with that head, which mmdet trains; only the RPN distiller refuses it."""
    change, reason = REFUSED_RPN_HEADS[name]
    sides = dict(student=student_cfg, teacher=teacher_cfg)
    sides[side] = change(sides[side])
    with pytest.raises(DistillationError, match=f"RPNDistiller: the {side}'s {reason}") as caught:
        build(distilled_cfg(sides['student'], sides['teacher'], None, rpn=RPN), init=False)
    assert len(caught.value.problems) == 1


@pytest.mark.slow
@pytest.mark.parametrize('name', ['guided', 'cascade', 'fcos', 'retinanet', 'atss'])
def test_a_head_that_is_refused_is_one_that_mmdet_trains(student_cfg, name):
    """So that the sweep of what is refused is about real heads."""
    change, _ = REFUSED_RPN_HEADS[name]
    losses = step_of_own(build(change(student_cfg)), two_pictures())
    assert total(losses).isfinite()


def test_a_head_that_overrides_what_is_known_is_refused(student_cfg, teacher_cfg):
    @MODELS.register_module(force=True)
    class ShiftedRPNHead(RPNHead):
        def get_targets(self, *args, **kwargs):
            return super().get_targets(*args, **kwargs)

    student_cfg.model.rpn_head.type = 'ShiftedRPNHead'
    with pytest.raises(DistillationError, match=r'ShiftedRPNHead does not say .*: it overrides get_targets of RPNHead'):
        build(distilled_cfg(student_cfg, teacher_cfg, None, rpn=RPN), init=False)


def test_a_coder_of_other_numbers_has_no_deltas(student_cfg):
    head = build(student_cfg, init=False).rpn_head
    head.bbox_coder.encode_size = 5
    assert 'encodes a box as 5 numbers' in find_view(head, RPNView).why_not('deltas')
    assert find_view(head, RPNView).why_not('objectness') is None
