"""Which RoIs and priors are positive, what box each predicts, and which true box it was trained towards."""

import copy
from functools import wraps

import pytest
import torch
from helpers.architectures import cascade, faster
from helpers.boxes import decode
from helpers.classifier import KD_LOC, taught_by_classifier
from helpers.distil import build, losses_of, raw_batch
from helpers.one_stage import ONE_STAGE
from mmdet.models.dense_heads import PAAHead, VFNetHead
from mmdet.structures.bbox import bbox_overlaps

from mmdet_kd.distillers.dense_boxes import dense_boxes_of
from mmdet_kd.distillers.positives import Positives
from mmdet_kd.distillers.prior_maps import flatten_levels
from mmdet_kd.knowledge import box_heads

ALL = {'faster': faster, 'cascade': cascade, **ONE_STAGE}
EVERY = pytest.mark.parametrize('architecture', ALL.values(), ids=ALL)


def positives_in(detector, batch) -> list[Positives]:
    """Of one step."""
    distiller, found = detector.distillers['kd_loc'], []
    find = distiller._positives
    distiller._positives = lambda student, truth: found.extend(find(student, truth)) or found
    losses_of(detector, batch)
    return found


@EVERY
@pytest.mark.parametrize('boxes', [(4, 2), (0, 3), (1, 0)])
def test_each_is_assigned_a_box_of_its_own_picture_that_it_overlaps(student_cfg, architecture, boxes):
    detector = build(taught_by_classifier(architecture(student_cfg)))
    batch = raw_batch(boxes)
    truth = torch.cat([sample.gt_instances.bboxes for sample in batch['data_samples']])
    pictures = torch.arange(len(boxes)).repeat_interleave(torch.tensor(boxes))
    for stage in positives_in(detector, batch):
        assert len(stage.truth) == len(stage.boxes) == len(stage.logits) == sum(stage.counts) > 0
        own = torch.arange(len(boxes)).repeat_interleave(torch.tensor(stage.counts))
        assert torch.equal(pictures[stage.truth], own)
        assert set(stage.truth.tolist()) <= set(range(len(truth)))
        assert stage.boxes.requires_grad


@pytest.mark.parametrize('architecture', [faster, cascade], ids=['faster', 'cascade'])
def test_rois_have_the_box_that_the_head_was_trained_towards(student_cfg, architecture, monkeypatch):
    """Decoding the head's own targets gives the assigned boxes."""
    cfg = architecture(student_cfg)
    detector = build(taught_by_classifier(cfg))
    batch = raw_batch((4, 2))
    truth = torch.cat([sample.gt_instances.bboxes for sample in batch['data_samples']])
    seen = []
    heads = detector.roi_head.bbox_head
    for head in heads if isinstance(heads, torch.nn.ModuleList) else [heads]:
        get = head.get_targets

        def recording(results, *args, get=get, head=head, **kwargs):
            targets = get(results, *args, **kwargs)
            rois = torch.cat([r.priors for r in results])
            positive = targets[3][:, 0] > 0
            seen.append(head.bbox_coder.decode(rois[positive], targets[2][positive]))
            return targets

        monkeypatch.setattr(head, 'get_targets', recording)
    stages = positives_in(detector, batch)
    assert len(stages) == len(seen)
    for stage, aims in zip(stages, seen, strict=True):
        torch.testing.assert_close(truth[stage.truth], aims, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize('architecture', [faster, cascade], ids=['faster', 'cascade'])
def test_rois_predict_the_boxes_of_their_own_stage(student_cfg, architecture, monkeypatch):
    """Decoded by hand, with the coder of each stage and the deltas of each RoI's class."""
    detector = build(taught_by_classifier(architecture(student_cfg)))
    heads, expected = box_heads(detector.roi_head), []
    for head in heads:
        torch.nn.init.normal_(head.fc_reg.weight, std=0.3, generator=torch.Generator().manual_seed(0))

        @wraps(head.loss_and_target)
        def recording(*args, loss=head.loss_and_target, coder=head.bbox_coder, **kwargs):
            found = loss(*args, **kwargs)
            labels, _, _, weights = found['bbox_targets']
            rows = (weights[:, 0] > 0).nonzero().flatten().tolist()
            deltas = kwargs['bbox_pred'].detach().view(len(labels), -1, 4)
            chosen = [deltas[row, labels[row] if deltas.shape[1] > 1 else 0].tolist() for row in rows]
            rois = kwargs['rois'][rows, 1:].tolist()
            expected.append([decode(roi, delta, coder) for roi, delta in zip(rois, chosen, strict=True)])
            return found

        monkeypatch.setattr(head, 'loss_and_target', recording)
    stages = positives_in(detector, raw_batch((4, 2)))
    assert len(stages) == len(expected) == len(heads)
    for stage, boxes in zip(stages, expected, strict=True):
        torch.testing.assert_close(stage.boxes.detach(), torch.tensor(boxes), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize('name', ONE_STAGE)
def test_dense_boxes_are_those_that_the_head_predicts(student_cfg, name):
    """Against mmdet's own prediction on the same maps, for every prior."""
    detector = build(ONE_STAGE[name](student_cfg)).eval()
    head = detector.bbox_head
    maps = detector.backbone(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    maps = detector.neck(maps)
    with torch.no_grad():
        head.train()
        outputs = head(maps)
        head.eval()
        decode = dense_boxes_of(head)
        priors, strides = decode.priors([tuple(m.shape[-2:]) for m in outputs[0]], torch.device('cpu'))
        regressed = flatten_levels(outputs[1], decode.channels)
        ours = decode.predicted(regressed, priors.repeat(2, 1), strides.repeat(2, 1))
        cfg = copy.deepcopy(detector.test_cfg)
        cfg.update(nms_pre=-1, score_thr=-1.0, max_per_img=-1)
        metas = [dict(img_shape=(10**6, 10**6), scale_factor=(1, 1), batch_input_shape=(64, 64))] * 2
        theirs = head.predict_by_feat(*head(maps), batch_img_metas=metas, cfg=cfg, rescale=False, with_nms=False)
    theirs = torch.cat([each.bboxes for each in theirs])
    kept = {tuple(box) for box in ours.clamp(0, 1e6).mul(10).round().tolist()}
    asked = {tuple(box) for box in theirs.mul(10).round().tolist()}
    assert len(asked) > 10
    assert len(asked - kept) <= 0.02 * len(asked)  # rounding may fall on either side


@pytest.mark.parametrize('name', ONE_STAGE)
def test_dense_targets_are_true_boxes(student_cfg, name):
    detector = build(taught_by_classifier(ONE_STAGE[name](student_cfg)))
    batch = raw_batch((4, 2))
    truth = torch.cat([sample.gt_instances.bboxes for sample in batch['data_samples']])
    decode, aims = detector.distillers['kd_loc']._positives._boxes, []
    assigned = decode.assigned
    decode.assigned = lambda *args: aims.append(assigned(*args)) or aims[-1]
    (found,) = positives_in(detector, batch)
    torch.testing.assert_close(aims[0], truth[found.truth], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize('name', ONE_STAGE)
def test_priors_lie_on_what_they_are_assigned(student_cfg, name):
    """The gradient of each predicted box stays in its own prior, whose place overlaps the assigned box."""
    detector = build(taught_by_classifier(ONE_STAGE[name](student_cfg)))
    batch = raw_batch((3, 1), size=96)
    truth = torch.cat([sample.gt_instances.bboxes for sample in batch['data_samples']])
    (found,) = positives_in(detector, batch)
    overlaps = bbox_overlaps(found.boxes.detach(), truth[found.truth], is_aligned=True)
    others = bbox_overlaps(found.boxes.detach(), truth[found.truth.flip(0)], is_aligned=True)
    assert overlaps.mean() > others.mean()


def test_two_equal_boxes_of_different_classes_are_told_apart(student_cfg):
    detector = build(taught_by_classifier(ONE_STAGE['retinanet'](student_cfg)))
    batch = raw_batch((2,))
    instances = batch['data_samples'][0].gt_instances
    instances.bboxes[1] = instances.bboxes[0]
    instances.labels = torch.tensor([2, 1])
    labels = []
    find = detector.bbox_head.get_targets
    detector.bbox_head.get_targets = lambda *a, **k: labels.append(find(*a, **k)) or labels[-1]
    (found,) = positives_in(detector, batch)
    flat = torch.cat([level.flatten() for level in labels[0][0]])
    assert torch.equal(instances.labels[found.truth], flat[(flat >= 0) & (flat < 3)])


@pytest.mark.parametrize('head', [PAAHead, VFNetHead])
def test_heads_that_choose_or_regress_otherwise_are_not_known(head):
    assert dense_boxes_of(head.__new__(head)) is None


def test_a_head_that_is_not_known_is_refused(student_cfg):
    cfg = ONE_STAGE['atss'](student_cfg)
    cfg.model.bbox_head.type = 'TOODHead'
    cfg.model.bbox_head.num_dcn = 0
    cfg.model.train_cfg.update(initial_epoch=4, initial_assigner=cfg.model.train_cfg.assigner, alpha=1, beta=6)
    cfg.model.bbox_head.update(stacked_convs=2, initial_loss_cls=dict(cfg.model.bbox_head.loss_cls))
    with pytest.raises(Exception, match='take an SSDHead, RetinaHead, FCOSHead, GFLHead or ATSSHead'):
        build(taught_by_classifier(cfg, kd_loc=KD_LOC), init=False)


def test_a_roi_head_that_trains_otherwise_is_no_zero(student_cfg):
    """PISA's box head is asked for its targets alone."""
    student_cfg.model.roi_head.type = 'PISARoIHead'
    rcnn = student_cfg.model.train_cfg.rcnn
    rcnn.sampler.update(type='ScoreHLRSampler', k=0.5, bias=0.0)
    rcnn.update(isr=dict(k=2, bias=0), carl=dict(k=1, bias=0.2))
    detector = build(taught_by_classifier(student_cfg))
    with pytest.raises(RuntimeError, match='did not call loss_and_target, which ClassifierLocDistiller observes'):
        losses_of(detector, raw_batch())
