"""The blocks of docs/extending.md, as a user would write them into files: a module, and a config that names it."""

import copy
import re
import sys
from pathlib import Path

import pytest
import torch
from helpers.dense_heads import detector_of, given_to_the_loss, pictures, predicted_boxes, seen
from helpers.distil import build, losses_of, raw_batch, save_teacher, total
from helpers.one_stage import retinanet
from mmdet.registry import MODELS
from mmengine.config import Config

import mmdet_kd.heads.base
from mmdet_kd.errors import DistillationError

#: What the page leaves to the reader.
MY_HEADS = """
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RetinaHead
from mmdet.registry import MODELS


@MODELS.register_module()
class MyHead(RetinaHead):
    def _init_layers(self):
        super()._init_layers()
        self.objectness = torch.nn.Conv2d(self.in_channels, self.num_base_priors, 3, padding=1)

    def forward_single(self, x):
        return *super().forward_single(x), self.objectness(x)

    def get_targets(self, *args, **kwargs):
        targets = super().get_targets(*args, **kwargs)
        self.labels = targets[0]
        return targets

    def loss_by_feat(self, scores, deltas, objectness, *truth):
        losses = super().loss_by_feat(scores, deltas, *truth)
        rows = torch.cat([m.permute(0, 2, 3, 1).flatten(1) for m in objectness], dim=1)
        objects = (torch.cat(self.labels, dim=1) < self.num_classes).float()
        return losses | {'loss_objectness': F.binary_cross_entropy_with_logits(rows, objects)}
"""

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'extending.md'


@pytest.fixture
def page(tmp_path, student_cfg, teacher_cfg):
    """The page's config, in a folder with its module and what it leaves to the reader: a student and a teacher."""
    *module, config = re.findall(r'```python\n(.*?)```', PAGE.read_text(), flags=re.DOTALL)
    (tmp_path / 'my_heads.py').write_text(MY_HEADS)
    (tmp_path / 'my_kd.py').write_text('\n\n'.join(module))
    (tmp_path / 'mine.py').write_text(config)
    retinanet(student_cfg).dump(tmp_path / 'my_student.py')
    teacher = retinanet(teacher_cfg)
    teacher.model.bbox_head.type = 'MyHead'
    teacher.dump(tmp_path / 'my_teacher.py')
    with pytest.MonkeyPatch.context() as patch:  # other tests look at all that is registered
        patch.setattr(MODELS, '_module_dict', dict(MODELS.module_dict))
        patch.setattr(mmdet_kd.heads.base, '_VIEWS', mmdet_kd.heads.base.known_heads())
        patch.syspath_prepend(tmp_path)
        cfg = Config.fromfile(tmp_path / 'mine.py')
        save_teacher(teacher, tmp_path / 'my_teacher.pth')
        yield cfg
    for name in ('my_kd', 'my_heads'):
        sys.modules.pop(name)


def plain(cfg):
    """The same student without a teacher."""
    cfg = copy.deepcopy(cfg)
    del cfg.model.teacher, cfg.model.distillers
    cfg.model.type = 'RetinaNet'
    return cfg


def test_its_config_trains_a_step(page):
    detector = build(page)
    for counts in ((3, 2), (0, 0)):
        losses = losses_of(detector, raw_batch(counts))
        assert {'loss_cls', 'loss_bbox', 'loss_objectness', 'maps.loss_feat', 'quality.loss_quality'} == set(losses)
        assert losses['maps.loss_feat'] > 0
        assert (losses['quality.loss_quality'] > 0) == any(counts)
        moved = torch.autograd.grad(
            losses['quality.loss_quality'], detector.bbox_head.objectness.weight, retain_graph=True
        )
        assert bool(moved[0].any()) == any(counts)
        detector.zero_grad()
        total(losses).backward()
        assert all(parameter.grad is not None for parameter in detector.parameters())


def test_its_view_says_what_the_head_uses(page):
    """The two tests that the page asks for, and the quality."""
    detector = detector_of(plain(page))
    with seen(detector, pictures(), ('labels',)) as step:
        labels, weights = step.view.assignment(step.calls)
        ours = torch.cat([step.predictions.scores, labels[..., None], weights[..., None]], dim=2).flatten(0, 1)
        rows, their_labels, their_weights = given_to_the_loss(step.losses)
        theirs = torch.cat([rows, their_labels[:, None], their_weights[:, None]], dim=1)
        decoded, quality = step.predictions.boxes.flatten(0, 1), step.predictions.quality
        raw = step.calls['forward'][0].result
        asked = predicted_boxes(detector, step.maps)
    assert sorted(ours.tolist()) == sorted(theirs.tolist())
    assert as_set(asked) == as_set(decoded)
    first = raw[2][0]  # (N, A, H, W), the anchors of a cell next to each other
    torch.testing.assert_close(quality[:, : first[0].numel()], first.permute(0, 2, 3, 1).flatten(1))


def as_set(boxes):
    return {tuple(box) for box in boxes.detach().clamp(0, 1e6).mul(4).round().tolist()}


def test_its_distiller_refuses_what_does_not_fit(page):
    page.model.bbox_head.anchor_generator.scales = [8]
    page.model.distillers.quality.loss = dict(type='SoftenedKLLoss')
    with pytest.raises(DistillationError, match='same priors') as refused:
        build(page, init=False)
    assert len(refused.value.problems) == 2
    page.model.bbox_head.type = 'RetinaHead'
    with pytest.raises(DistillationError, match='it has no branch for that'):
        build(page, init=False)
