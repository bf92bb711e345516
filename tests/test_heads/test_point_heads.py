"""Dense heads with a point a cell, and heads that have no grid: what a step is made of, and what is refused."""

import re

import pytest
import torch
from helpers.classifier import taught_by_classifier
from helpers.dense_heads import detector_of, pictures, predicted_boxes, seen
from helpers.distil import DENSE, build, distilled_cfg, losses_of
from helpers.one_stage import fcos
from helpers.point_heads import POINT_HEADS, QUICK_POINT_HEADS, add_masks, autoassign, trained_boxes
from mmdet.models import dense_heads
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.hub import get_config

from mmdet_kd.errors import DistillationError
from mmdet_kd.heads import DensePredictions, DenseView, find_view, known_heads, same_places
from mmdet_kd.knowledge import record_calls

ALL = {'fcos': fcos, **POINT_HEADS}


def every(*quick):
    """All heads; all but these in the slow sweep."""
    return pytest.mark.parametrize('name', [n if n in quick else pytest.param(n, marks=pytest.mark.slow) for n in ALL])


EVERY = every('fcos', *QUICK_POINT_HEADS)
COUNTS = (4, 2)  # of true boxes in the two pictures


def rows_in_order(predicted, target):
    """Pairs of boxes in an order that depends on the numbers alone."""
    rows = torch.cat([predicted.detach(), target], dim=1).double()
    weights = torch.rand(8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    return rows[(rows @ weights).argsort()]


@EVERY
def test_the_boxes_of_positive_priors_are_those_of_the_heads_own_box_loss(student_cfg, name):
    """In training: the predicted box, and the true box towards which it is trained, pair by pair."""
    detector = detector_of(ALL[name](student_cfg))
    with seen(detector, pictures(counts=COUNTS), ('labels', 'positives')) as step:
        images, places, truth = step.view.positives(step.calls, step.truth)
        ours = rows_in_order(step.predictions.boxes_of(images, places), torch.cat(step.truth.boxes)[truth])
        theirs = rows_in_order(*trained_boxes(step, images, places))
    assert len(truth) >= 4
    assert {0, 1} == set(images.tolist())
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)


@every('yolox')
def test_weights_are_those_of_the_heads_own_class_loss(student_cfg, name):
    detector = detector_of(ALL[name](student_cfg))
    with seen(detector, pictures(counts=COUNTS), ('labels',)) as step:
        weights = step.view.assignment(step.calls).label_weights
        given = [call.arguments for call in step.losses['loss_cls']]
    theirs = [each['weight'] if 'weight' in each else torch.ones(len(next(iter(each.values())))) for each in given]
    assert weights.sum() == torch.cat(theirs).sum() > 0
    if type(detector.bbox_head).__name__ != 'YOLOXHead':  # which gives the others no weight
        assert weights.numel() == torch.cat(theirs).numel()


@every('fcos', 'yolox')
def test_the_quality_is_what_the_head_trains_as_such(student_cfg, name):
    """A centerness on the positive priors, or an objectness on all; other heads say that they have none."""
    detector = detector_of(ALL[name](student_cfg))
    with seen(detector, pictures(counts=COUNTS), ('labels', 'positives')) as step:
        losses = step.losses.get('loss_centerness') or step.losses.get('loss_obj')
        assert (losses is None) == (step.predictions.maps.quality is None) == bool(step.view.why_not('quality'))
        if losses is None:
            return
        (given,) = (next(iter(call.arguments.values())).flatten() for call in losses)
        quality = step.predictions.quality
        if len(given) == quality.numel():
            assert torch.equal(given, quality.flatten())
        else:
            images, places, _ = step.view.positives(step.calls, step.truth)
            assert torch.equal(given.sort().values, quality[images, places].sort().values)


@every('yolox')
def test_a_student_trains_a_step_by_a_teacher_with_the_same_head(student_cfg, teacher_cfg, name):
    cfg = distilled_cfg(ALL[name](student_cfg), ALL[name](teacher_cfg), None, dense=DENSE)
    detector = build(cfg)
    unlike(detector.teacher.detector.bbox_head)
    losses = losses_of(detector, batch_for(detector))
    losses['dense.loss_cls'].backward()
    assert 0.01 < losses['dense.loss_cls'] < 100
    reached = layers_reached(detector.bbox_head)
    assert any('cls' in layer for layer in reached)
    assert not any(re.search('conv_reg|rtm_reg|pts_refine_out|vfnet_reg_refine$', layer) for layer in reached)


@every('yolox')
def test_a_classifier_teaches_a_student_its_boxes(student_cfg, name):
    """The gradient reaches the layers that regress, and none that scores."""
    detector = build(taught_by_classifier(ALL[name](student_cfg)))
    losses = losses_of(detector, batch_for(detector))
    losses['kd_loc.loss_loc'].backward()
    assert losses['kd_loc.loss_loc'] > 1e-3
    reached = layers_reached(detector.bbox_head)
    assert any('reg' in layer or 'pts_refine_out' in layer for layer in reached)
    assert not any(re.search(r'(^|_)cls(_out)?$|conv_cls', layer) for layer in reached)


def unlike(head):
    """Move the biases of a head, so that its scores are not those of its start."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if name.endswith('bias'):
                parameter.add_(torch.randn(parameter.shape, generator=generator))


def layers_reached(head):
    """Names of the layers of a head that have a gradient."""
    found = {n.rpartition('.')[0]: p.grad for n, p in head.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in found.values())
    return {layer for layer, gradient in found.items() if gradient.abs().sum() > 0}


def batch_for(detector):
    """Raw pictures, with masks for a head that needs them for its own loss."""
    batch = pictures(counts=COUNTS)
    if hasattr(detector.bbox_head, 'loss_mask'):
        add_masks(batch)
    return batch


# Pairs of unlike heads.


def dense(student, teacher, student_cfg, teacher_cfg):
    """A student and a teacher of two heads."""
    return build(distilled_cfg(ALL[student](student_cfg), ALL[teacher](teacher_cfg), None, dense=DENSE))


def test_points_half_a_cell_apart_are_refused(student_cfg, teacher_cfg):
    with pytest.raises(DistillationError) as error:
        dense('fcos', 'rtmdet', student_cfg, teacher_cfg)
    (problem,) = error.value.problems
    assert 'FCOSHead (points: 1 at stride 4, 1 at stride 8' in problem
    assert 'the first at 2, 2' in problem
    assert "those of the teacher's RTMDetHead" in problem
    assert 'the first at 0, 0' in problem


@pytest.mark.parametrize(
    ('student', 'teacher'),
    [
        ('fovea', 'fcos'),
        pytest.param('yolox', 'rtmdet', marks=pytest.mark.slow),
        pytest.param('vfnet', 'reppoints', marks=pytest.mark.slow),
    ],
)
def test_heads_with_the_same_points_teach_each_other(student_cfg, teacher_cfg, student, teacher):
    detector = dense(student, teacher, student_cfg, teacher_cfg)
    losses = losses_of(detector, pictures(counts=COUNTS))
    assert losses['dense.loss_cls'] > 1e-6


def test_fovea_box_finds_boxes_whose_targets_are_clipped(student_cfg):
    """On the first level the long box is cut to 128 pixels on either side, and the other one lies nearer to that."""
    detector = detector_of(POINT_HEADS['fovea'](student_cfg))
    batch = pictures(size=(64, 256), counts=(2, 1))
    instances = batch['data_samples'][0].gt_instances
    instances.bboxes = torch.tensor([[44.0, 9.3, 254.0, 10.7], [0.0, 9.5, 256.0, 10.5]])
    instances.labels = torch.tensor([1, 1])
    with seen(detector, batch, ('labels', 'positives')) as step:
        images, places, truth = step.view.positives(step.calls, step.truth)
        priors = step.predictions.priors
    first = (images == 0) & (priors.strides[places, 0] == 4)  # too large for the other box
    assert (priors.places[places[first], 0] > 160).any()
    assert (truth[first] == 1).all()


def test_yolox_labels_do_not_change_with_its_l1_loss(student_cfg):
    """A hook switches that on at the end of a training."""
    found = []
    for use_l1 in (False, True):
        detector = detector_of(POINT_HEADS['yolox'](student_cfg))
        detector.bbox_head.use_l1 = use_l1
        with seen(detector, pictures(), ('labels',)) as step:
            found.append(step.view.assignment(step.calls).labels)
            assert bool(step.losses['loss_l1']) == use_l1
    assert torch.equal(*found)


# Heads that leave questions without an answer.


def test_yolox_with_cells_that_are_not_square_says_no_boxes():
    """It stretches a box by both strides of its level."""
    for strides, reason in (([8, 16], None), ([(8, 4), (16, 8)], 'its cells are not square')):
        head = MODELS.build(dict(type='YOLOXHead', num_classes=3, in_channels=4, feat_channels=4, strides=strides))
        assert find_view(head, DenseView).why_not('boxes') == reason


@pytest.mark.slow
def test_autoassign_says_scores_and_boxes_but_no_labels(student_cfg, teacher_cfg):
    """So it can be the teacher of a head with points at the same corners, not a student."""
    detector = detector_of(autoassign(student_cfg))
    view = find_view(detector.bbox_head, DenseView)
    refused = [question for question in view.questions if view.why_not(question)]
    assert set(refused) == {'anchors', 'distributions', 'towers', 'labels', 'positives', 'assign', 'centerness'}
    maps = detector.extract_feat(pictures_tensor())
    for training in (True, False):
        detector.bbox_head.train(training)
        raw = detector.bbox_head(maps)
        found = DensePredictions(view, view.maps(raw, training))
        with record_calls({'loss': (detector.bbox_head, 'get_pos_loss_single')}) as calls:
            samples = detector.data_preprocessor(pictures(), training=True)['data_samples']
            metas = [sample.metainfo for sample in samples]
            detector.bbox_head.loss_by_feat(*raw, [sample.gt_instances for sample in samples], metas)
        given = [call.arguments for call in calls['loss']]
        torch.testing.assert_close(found.scores.sigmoid(), torch.stack([each['cls_score'] for each in given]))
        quality = torch.stack([each['objectness'] for each in given])[..., 0]
        torch.testing.assert_close(found.quality.sigmoid(), quality)
        ours = {tuple(box) for box in found.boxes.flatten(0, 1).clamp(0).mul(4).round().tolist()}
        assert {tuple(box) for box in predicted_boxes(detector, maps).mul(4).round().tolist()} <= ours
    vfnet = build(distilled_cfg(POINT_HEADS['vfnet'](student_cfg), autoassign(teacher_cfg), None, dense=DENSE))
    assert losses_of(vfnet, pictures())['dense.loss_cls'] > 1e-6
    with pytest.raises(DistillationError, match='which class each prior is trained towards: each prior in a box'):
        build(distilled_cfg(autoassign(student_cfg), autoassign(teacher_cfg), None, dense=DENSE))


def pictures_tensor():
    """Two normalised pictures."""
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))


#: Class of a head without a grid -> what it is built with.
WITHOUT_GRID = {
    'CenterNetHead': dict(feat_channels=4),
    'CornerHead': {},
    'DETRHead': dict(loss_cls=dict(type='CrossEntropyLoss')),
}


@pytest.mark.parametrize('name', WITHOUT_GRID)
@pytest.mark.parametrize('by', ['detector', 'classifier'])
def test_a_head_without_a_grid_is_refused_with_its_reason(student_cfg, teacher_cfg, name, by):
    channels = student_cfg.model.neck.out_channels
    cfg = fcos(student_cfg)
    size = dict(embed_dims=channels) if name == 'DETRHead' else dict(in_channels=channels)
    cfg.model.bbox_head = ConfigDict(type=name, num_classes=3, **size, **WITHOUT_GRID[name])
    cfg.model.train_cfg = None
    reason = re.escape(known_heads()[getattr(dense_heads, name)].cannot['scores'])
    by_detector = distilled_cfg(cfg, fcos(teacher_cfg), None, dense=DENSE)
    taught = by_detector if by == 'detector' else taught_by_classifier(cfg)
    with pytest.raises(DistillationError, match=rf"the student's {name} does not say .*: {reason}"):
        build(taught, init=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'head'),
    [
        ('solo/solo_r50_fpn_1x_coco.py', 'SOLOHead'),
        ('solov2/solov2_r50_fpn_1x_coco.py', 'SOLOV2Head'),
        ('mask2former/mask2former_r50_8xb2-lsj-50e_coco.py', 'Mask2FormerHead'),
        ('detr/detr_r50_8xb2-150e_coco.py', 'DETRHead'),
        ('dino/dino-4scale_r50_8xb2-12e_coco.py', 'DINOHead'),
        ('centernet/centernet_r18_8xb16-crop512-140e_coco.py', 'CenterNetHead'),
    ],
)
def test_a_teacher_without_a_grid_is_refused_with_its_reason(student_cfg, config, head):
    reason = re.escape(known_heads()[getattr(dense_heads, head)].cannot['scores'])
    with pytest.raises(DistillationError, match=rf"the teacher's {head} does not say .*: {reason}"):
        build(distilled_cfg(fcos(student_cfg), f'mmdet::{config}', None, dense=DENSE), init=False)


def test_a_detector_with_no_dense_head_is_named_by_its_side(student_cfg, teacher_cfg):
    """Not by the type of what it lacks."""
    with pytest.raises(
        DistillationError, match=r'the teacher does not say what class .* or where its priors are: it has no such'
    ):
        build(distilled_cfg(fcos(student_cfg), teacher_cfg, None, dense=DENSE), init=False)


# Whose view is it?


@pytest.mark.slow
@pytest.mark.parametrize(
    'config',
    [
        'autoassign/autoassign_r50-caffe_fpn_1x_coco.py',
        'boxinst/boxinst_r50_fpn_ms-90k_coco.py',
        'centernet/centernet-update_r50-caffe_fpn_ms-1x_coco.py',
        'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py',
        'fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py',
        'foveabox/fovea_r50_fpn_gn-head-align_4xb4-2x_coco.py',
        'nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco.py',
        'reppoints/reppoints-bbox_r50-center_fpn-gn_head-gn-grid_1x_coco.py',
        'reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py',
        'rtmdet/rtmdet-ins_s_8xb32-300e_coco.py',
        'rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
        'vfnet/vfnet_r50_fpn_1x_coco.py',
        'yolox/yolox_s_8xb8-300e_coco.py',
    ],
)
def test_the_heads_of_mmdets_zoo_are_known(config):
    """As they are configured there, with the numbers that a teacher would give."""
    cfg = get_config(f'mmdet::{config}').model
    head = MODELS.build(dict(cfg.bbox_head, train_cfg=cfg.get('train_cfg'), test_cfg=cfg.test_cfg)).eval()
    view = find_view(head, DenseView)
    assert view.problems(('scores', 'priors', 'boxes'), 'a test', 'teacher') == []
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(1, head.in_channels, 2, 3, generator=generator) for _ in view.strides]
    with torch.no_grad():
        found = DensePredictions(view, view.maps(head(tuple(maps)), training=False))
    assert found.scores.shape == (1, 6 * len(maps), 80)
    assert found.boxes.shape == (1, 6 * len(maps), 4)
    assert same_places(view, view)


def test_every_method_that_a_view_relies_on_is_one_of_its_heads():
    missing = [
        (head.__name__, method)
        for head, view in known_heads().items()
        for method in view.relies_on
        if not callable(getattr(head, method, None))
    ]
    assert not missing


@every('reppoints')
def test_a_subclass_that_changes_what_a_view_relies_on_is_another_head(student_cfg, name):
    head = build(ALL[name](student_cfg), init=False).bbox_head
    plain = type(head)
    view = find_view(head, DenseView)
    assert view.why_not('scores') is None
    for method in ('forward', '_get_targets_single', 'loss_by_feat', *view.relies_on):
        head.__class__ = type('Changed', (plain,), {method: lambda self, *args, **kwargs: None})
        assert find_view(head, DenseView).why_not('scores').startswith(f'it overrides {method} of ')
    head.__class__ = type('Renamed', (plain,), {})
    assert type(find_view(head, DenseView)) is type(view)


def test_every_head_of_mmdet_that_is_not_one_of_anchors_has_a_view():
    """Those of masks alone, which are in no detector the head that finds objects, have none."""
    of_anchors = dense_heads.AnchorHead, dense_heads.CascadeRPNHead, dense_heads.SABLRetinaHead, dense_heads.YOLOV3Head
    of_masks = ('CondInstMaskHead', 'BoxInstMaskHead', 'YOLACTProtonet')
    points = (dense_heads.VFNetHead, dense_heads.RTMDetHead)  # which inherit from ATSSHead
    classes = [getattr(dense_heads, name) for name in dense_heads.__all__ if name not in of_masks]
    mine = [c for c in classes if 'Head' in c.__name__ and (not issubclass(c, of_anchors) or issubclass(c, points))]
    assert len(mine) > 30
    assert {c.__name__ for c in mine if c not in known_heads()} == {'AnchorFreeHead'}  # an abstract class
