import copy

import pytest
import torch
from helpers.distil import build
from helpers.one_stage import retinanet, ssd
from helpers.point_heads import POINT_HEADS
from mmcv.cnn.bricks import wrappers
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

from mmdet_kd.compression import SurveyedLayer, replace_layers, survey
from mmdet_kd.errors import DistillationError


class Odd(BaseModule):
    """Before a neck, one layer of each kind that cannot be decomposed, and two that can."""

    def __init__(self, fpn):
        super().__init__()
        self.fpn = fpn
        self.good = nn.Conv2d(8, 8, 3, padding=1)
        self.wrapped = wrappers.Conv2d(8, 8, 3, padding=1)
        self.read_in_init = nn.Conv2d(8, 8, 3, padding=1)
        self.read_in_forward = nn.Conv2d(8, 8, 3, padding=1)
        self.unused = nn.Conv2d(8, 8, 3)
        self.once = nn.Conv2d(8, 8, 3, padding=1)
        self.twice = self.once
        self.tied = nn.Conv2d(8, 8, 3, padding=1)
        self.tied.weight = self.once.weight
        self.transposed = nn.ConvTranspose2d(8, 8, 1)
        self.odd_cls = nn.Conv2d(8, 8, 1)

    def init_weights(self):
        nn.init.zeros_(self.read_in_init.bias)

    def forward(self, maps):
        x = maps[0]
        for layer in self.children():
            if layer not in (self.fpn, self.unused):
                x = layer(x)
        return self.fpn((x * self.read_in_forward.weight.mean(), *maps[1:]))


@pytest.fixture
def odd(student_cfg):
    detector = build(student_cfg)
    detector.neck = Odd(detector.neck)
    return detector


def test_what_cannot_be_decomposed_is_skipped_with_its_reason(odd):
    found = survey(odd, (64, 64))
    ours = {layer.name for layer in found.layers if layer.name.startswith('neck.') and 'fpn' not in layer.name}
    assert ours == {'neck.good', 'neck.wrapped'}
    skipped = {name.removeprefix('neck.'): reason for name, reason in found.skipped.items() if 'neck' in name}
    assert skipped == {
        'read_in_init': 'other code reads its bias',
        'read_in_forward': 'other code reads its weight',
        'unused': 'the forward pass does not call it',
        'once': 'shared by several places',
        'tied': 'shared by several places',
        'transposed': 'a ConvTranspose2d',
        'odd_cls': 'by name',
    }
    assert found.skipped['roi_head.bbox_head.fc_reg'] == found.skipped['rpn_head.rpn_cls'] == 'by name'


def test_nothing_of_the_detector_changes(odd):
    before = copy.deepcopy(odd)
    state = torch.random.get_rng_state()
    survey(odd, (64, 64))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert str(odd) == str(before)
    for key, value in odd.state_dict().items():
        assert torch.equal(value, before.state_dict()[key])


@pytest.mark.parametrize(
    ('family', 'predictors'),
    [
        (ssd, {'cls_convs.0.0', 'reg_convs.0.0'}),
        (POINT_HEADS['reppoints'], {'reppoints_cls_out', 'reppoints_pts_init_out', 'reppoints_pts_refine_out'}),
        (retinanet, {'retina_cls', 'retina_reg'}),
    ],
)
def test_what_predicts_is_left_as_it_is(student_cfg, family, predictors):
    """With few classes a share of its channels may be one, and then all scores are multiples of it."""
    found = survey(MODELS.build(family(student_cfg).model), (64, 64))
    skipped = {name.removeprefix('bbox_head.') for name in found.skipped if name.startswith('bbox_head.')}
    assert predictors <= skipped
    assert not [layer.name for layer in found.layers if layer.name.removeprefix('bbox_head.') in predictors]


def test_a_pattern_of_ones_own(student_cfg):
    found = survey(build(student_cfg), (64, 64), skip='^backbone|fc_cls')
    assert {name.split('.')[0] for name in found.skipped} == {'backbone', 'roi_head'}
    assert 'roi_head.bbox_head.fc_reg' in {layer.name for layer in found.layers}


def test_parts_of_decomposed_layers_are_left_alone(student_cfg):
    detector = build(student_cfg)
    replace_layers(detector, {'rpn_head.rpn_conv': (4, 4)})
    found = survey(detector, (64, 64))
    assert found.skipped['rpn_head.rpn_conv.core'] == 'part of a decomposed layer'
    assert not any('rpn_conv' in layer.name for layer in found.layers)


def test_a_picture_that_is_too_small_is_said():
    detector = nn.Module()
    detector.data_preprocessor = nn.Identity()
    detector.forward = lambda picture, samples, mode: detector.backbone(picture)
    detector.backbone = nn.Conv2d(3, 8, 7)
    with pytest.raises(DistillationError, match=r'fails on a picture of 5 x 6 \(.*\)\. Give a --shape'):
        survey(detector, (5, 6))


def test_the_work_of_a_layer_by_hand():
    conv = SurveyedLayer('conv', nn.Conv2d(8, 12, 3, groups=2), inputs=100, outputs=25)
    assert conv.flops((4, 6)) == 25 * 12 * 4 * 9
    assert conv.flops((2, 3)) == 100 * 8 * 2 + 25 * (2 * 3) * 2 * 9 + 25 * 12 * 3
    assert conv.parameters((2, 3)) == 8 * 2 + (2 * 3) * 2 * 9 + 12 * 3 + 12
    linear = SurveyedLayer('fc', nn.Linear(10, 20), inputs=7, outputs=7)
    assert linear.flops((10, 20)) == 7 * 10 * 20
    assert linear.flops((10, 3)) == 7 * (10 * 3 + 3 * 20)
    assert (linear.written((10, 3)), conv.written((2, 3))) == (3, (2, 3))


def test_the_best_ranks_cost_the_least_and_lose_nothing():
    conv = SurveyedLayer('conv', nn.Conv2d(32, 32, 3), inputs=100, outputs=100)
    assert conv.best((8, 8)) == (8, 8)
    assert conv.best((31, 8)) == (32, 8)  # a 1x1 that saves nothing is left out
    assert conv.best((31, 31)) == (32, 32)
    assert conv.best((20, 1)) == (32, 1)
    assert SurveyedLayer('conv1', nn.Conv2d(3, 32, 3), inputs=100, outputs=100).best((1, 8)) == (3, 8)
    assert SurveyedLayer('1x1', nn.Conv2d(32, 32, 1), inputs=100, outputs=100).best((1, 8)) == (32, 8)
    assert SurveyedLayer('1x1', nn.Conv2d(32, 32, 1), inputs=100, outputs=100).best((1, 16)) == (32, 32)
