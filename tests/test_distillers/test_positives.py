"""Which RoIs and priors are positive, what box each predicts, and which true box it was trained towards."""

from functools import wraps

import pytest
import torch
from helpers.architectures import cascade, faster
from helpers.boxes import decode
from helpers.classifier import KD_LOC, taught_by_classifier
from helpers.distil import build, losses_of, raw_batch
from helpers.one_stage import ONE_STAGE
from mmdet.models.dense_heads import RetinaHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps

from mmdet_kd.distillers.positives import Positives
from mmdet_kd.errors import DistillationError
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

        @wraps(get)
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


def test_a_head_that_is_not_known_is_refused(student_cfg):
    @MODELS.register_module(force=True)
    class ShiftedHead(RetinaHead):
        def _get_targets_single(self, *args, **kwargs):
            return super()._get_targets_single(*args, **kwargs)

    cfg = ONE_STAGE['retinanet'](student_cfg)
    cfg.model.bbox_head.type = 'ShiftedHead'
    with pytest.raises(DistillationError, match=r'ShiftedHead does not say .* it overrides _get_targets_single of Ret'):
        build(taught_by_classifier(cfg, kd_loc=KD_LOC), init=False)
