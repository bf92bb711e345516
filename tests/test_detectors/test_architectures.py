"""Students and teachers of mmdet's two-stage architectures, and mixes of them, train a step."""

import pytest
import torch
from helpers.architectures import ARCHITECTURES
from helpers.distil import HINT, METHOD, ROI, build, distilled_cfg, losses_of, raw_batch, soft_part, total
from mmdet.structures.mask import BitmapMasks

FAST = [('mask', 'faster'), ('cascade', 'cascade'), ('faster', 'cascade'), ('c4', 'c4'), ('decoded', 'softmax_rpn')]
ALL = [(s, t) for s in ARCHITECTURES for t in ARCHITECTURES if (s, t) not in FAST]


def batch_with_masks():
    batch = raw_batch()
    for sample in batch['data_samples']:
        boxes = sample.gt_instances.bboxes
        masks = torch.zeros(len(boxes), 64, 64)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.long().tolist(), strict=True):
            mask[y1:y2, x1:x2] = 1
        sample.gt_instances.masks = BitmapMasks(masks.numpy().astype('uint8'), 64, 64)
    return batch


def method_for(student, teacher):
    """All of Chen's method where both have a pyramid or both have none, else what does not need equal grids."""
    c4 = [student == 'c4', teacher == 'c4']
    if not any(c4):
        return METHOD
    if all(c4):
        return {**METHOD, 'hint': {**HINT, 'source': 'backbone'}}
    levels = {'levels': (0,), 'teacher_levels': (2,)} if c4[0] else {'levels': (2,), 'teacher_levels': (0,)}
    return {'hint': {**HINT, 'source': 'backbone', **levels}, 'roi': ROI}


def train_a_step(student_cfg, teacher_cfg, student, teacher):
    distillers = method_for(student, teacher)
    cfg = distilled_cfg(ARCHITECTURES[student](student_cfg), ARCHITECTURES[teacher](teacher_cfg), None, **distillers)
    detector = build(cfg)
    losses = losses_of(detector, batch_with_masks())
    soft = soft_part(losses)
    assert {name.split('.')[0] for name in soft} == set(distillers)
    assert all(loss.isfinite() and loss.requires_grad for loss in soft.values())
    assert soft['roi.loss_cls'] > 0
    total(losses).backward()
    assert [n for n, p in detector.named_parameters() if p.requires_grad and p.grad is None] == []
    detector.eval().test_step(raw_batch())


@pytest.mark.parametrize(('student', 'teacher'), FAST)
def test_pair_trains(student_cfg, teacher_cfg, student, teacher):
    train_a_step(student_cfg, teacher_cfg, student, teacher)


@pytest.mark.slow
@pytest.mark.parametrize(('student', 'teacher'), ALL)
def test_every_pair_trains(student_cfg, teacher_cfg, student, teacher):
    train_a_step(student_cfg, teacher_cfg, student, teacher)


@pytest.mark.slow
def test_a_cascades_stages_count_with_their_weights(student_cfg, teacher_cfg):
    cfg = distilled_cfg(ARCHITECTURES['cascade'](student_cfg), teacher_cfg, None, roi=ROI)

    def with_weights(*weights):
        cfg.model.roi_head.stage_loss_weights = list(weights)
        return losses_of(build(cfg), raw_batch())['roi.loss_cls']

    stages = [with_weights(*(float(stage == other) for other in range(3))) for stage in range(3)]
    assert len({loss.item() for loss in stages}) == 3
    torch.testing.assert_close(with_weights(1, 0.5, 0.25), stages[0] + 0.5 * stages[1] + 0.25 * stages[2])
