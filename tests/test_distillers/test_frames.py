"""What a loss on maps is told beside the maps: boxes in the cells of the grid on which both meet, and valid places."""

import pytest
import torch
from helpers.architectures import faster
from helpers.distil import build, distilled_cfg, losses_of, raw_batch, soft_part
from helpers.one_stage import retinanet
from helpers.tiny import REPO
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from mmdet_kd.export import student_state_dict

FRAGMENTS = (
    *('fitnets', 'cwd', 'pkd', 'pkd-two-stage', 'mgd', 'mgd-two-stage', 'fgd', 'fgd-two-stage'),
    *('fkd', 'fkd-two-stage'),
)


@MODELS.register_module()
class ListeningLoss(nn.Module):
    compares, needs_frame, told = 'maps', True, []

    def forward(self, feat_s, feat_t, frame):
        self.told.append((feat_t.shape, frame))
        return feat_s.sum() * 0


@pytest.mark.parametrize('scale', [None, 0.5])
def test_boxes_and_places_are_those_of_the_teachers_grid(student_cfg, teacher_cfg, scale):
    hint = dict(type='FeatureDistiller', adapter=dict(type='ConvAdapter'), loss=dict(type='ListeningLoss'))
    cfg = distilled_cfg(student_cfg, teacher_cfg, None, hint=hint)
    cfg.model.student_scale = scale
    detector = build(cfg)
    batch = raw_batch((2, 1), size=96)
    batch['inputs'][1] = batch['inputs'][1][:, :40]
    batch['data_samples'][1].set_metainfo(dict(img_shape=(40, 96), ori_shape=(40, 96)))
    ListeningLoss.told.clear()
    losses_of(detector, batch)
    assert len(ListeningLoss.told) == 5
    for level, (shape, frame) in enumerate(ListeningLoss.told):
        stride = 4 * 2**level  # the teacher sees the pictures as they were loaded
        for boxes, sample in zip(frame.boxes, batch['data_samples'], strict=True):
            torch.testing.assert_close(boxes, sample.gt_instances.bboxes / stride, rtol=1e-4, atol=1e-3)
        rows = [(row.any(dim=1)).sum().item() for row in frame.valid]
        assert frame.valid.shape == (2, *shape[-2:])
        assert rows == [min(shape[-2], -(-96 // stride)), -(-40 // stride)]


@pytest.mark.parametrize('name', FRAGMENTS)
def test_the_fragments_of_methods_on_maps_train(student_cfg, teacher_cfg, name):
    """The same step twice gives the same loss; levels are added up, as the authors do."""
    distillers = Config.fromfile(REPO / f'configs/_base_/distillers/{name}.py').distillers
    (method,) = distillers
    family = retinanet if name in ('fgd', 'fkd') else faster
    cfg = distilled_cfg(family(student_cfg), family(teacher_cfg), None, **distillers)
    detector = build(cfg)
    first, second = (soft_part(losses_of(detector, raw_batch()))[f'{method}.loss_feat'] for _ in range(2))
    assert first.item() == second.item() > 0
    first.backward()
    trained = dict(detector.named_parameters())
    assert all(p.grad is not None and p.grad.isfinite().all() for n, p in trained.items() if n.startswith('distillers'))
    assert trained['neck.lateral_convs.0.conv.weight'].grad.abs().sum() > 0
    cfg.model.distillers[method].reduction = 'mean'
    averaged = soft_part(losses_of(build(cfg), raw_batch()))[f'{method}.loss_feat']
    assert averaged.item() == pytest.approx(first.item() / len(detector.distillers[method].levels), rel=1e-5)


def test_what_a_loss_trains_is_in_the_checkpoint_and_not_in_the_export(student_cfg, teacher_cfg):
    """So a resumed training goes on with it. Nothing of a norm is averaged over steps, so nothing else need be kept."""
    distillers = Config.fromfile(REPO / 'configs/_base_/distillers/fkd.py').distillers
    detector = build(distilled_cfg(retinanet(student_cfg), retinanet(teacher_cfg), None, **distillers))
    state = detector.state_dict()
    trained = {name for name, _ in detector.named_parameters() if name.startswith('distillers')}
    assert {name for name in state if name.startswith('distillers')} == trained
    assert {f'distillers.fkd.loss.{level}.teacher_relations.norm.weight' for level in range(5)} <= trained
    assert student_state_dict(state).keys() == MODELS.build(retinanet(student_cfg).model).state_dict().keys()
