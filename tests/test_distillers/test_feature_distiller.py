"""The feature distiller: levels are paired and averaged, adapters find their channels, misfits are listed."""

import copy

import pytest
import torch
from helpers.architectures import c4
from helpers.distil import HINT
from helpers.pairs import observed, pair_of
from mmdet.registry import MODELS
from torch import nn

from mmdet_kd.adapters import ConvAdapter, LinearAdapter, to_grid
from mmdet_kd.distillers import FeatureDistiller
from mmdet_kd.errors import DistillationError
from mmdet_kd.losses.functional import hint_loss

LOSS = dict(type='HintLoss', loss_weight=0.4)
CONV = dict(type='ConvAdapter')


def four_levels(cfg):
    cfg = copy.deepcopy(cfg)
    cfg.model.neck.num_outs = 4
    cfg.model.rpn_head.anchor_generator.strides = [4, 8, 16, 32]
    return cfg


@pytest.mark.parametrize('source', ['neck', 'backbone'])
@pytest.mark.parametrize(
    ('levels', 'teacher_levels', 'pairs'),
    [
        (None, None, [(i, i) for i in range(5)]),
        ((0, 2), None, [(0, 0), (2, 2)]),
        ((3,), (1,), [(3, 1)]),
        ([1, 1], [0, 2], [(1, 0), (1, 2)]),
    ],
)
def test_the_loss_is_the_mean_over_the_levels(source, levels, teacher_levels, pairs, student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    distiller = FeatureDistiller(pair, LOSS, source, levels, teacher_levels, CONV)
    pairs = [p for p in pairs if source == 'neck' or max(p) < 4]
    with observed(pair) as step:
        losses = distiller(*step.sides)
        total = 0.0
        for place, (i, j) in enumerate(pairs):
            feat_s, feat_t = step.student.features(source)[i], step.teacher.features(source)[j]
            conv = distiller.adapters[place].conv
            adapted = torch.einsum('oi,nihw->nohw', conv.weight[:, :, 0, 0], feat_s) + conv.bias[:, None, None]
            adapted = to_grid(adapted, feat_t.shape[-2:])
            total += 0.4 * ((adapted - feat_t) ** 2).mean().item()
    assert set(losses) == {'feat'}
    assert losses['feat'].item() == pytest.approx(total / len(pairs), rel=1e-5)


@pytest.mark.parametrize('adapter', ['ConvAdapter', 'LinearAdapter'])
def test_adapters_find_their_channels(adapter, student_cfg, teacher_cfg):
    distiller = FeatureDistiller(pair_of(student_cfg, teacher_cfg), LOSS, 'backbone', adapter=dict(type=adapter))
    kind = {'ConvAdapter': ConvAdapter, 'LinearAdapter': LinearAdapter}[adapter]
    assert all(type(a) is kind for a in distiller.adapters)
    shapes = [tuple(next(a.parameters()).shape[:2]) for a in distiller.adapters]
    assert shapes == [(16, 8), (32, 16), (64, 32), (128, 64)]
    assert len({id(a) for a in distiller.adapters}) == 4


@pytest.mark.parametrize('channels', [dict(out_channels=7), dict(in_channels=7)])
def test_channels_that_are_told_and_do_not_fit_are_refused_at_build(student_cfg, teacher_cfg, channels):
    with pytest.raises(DistillationError, match='adapter and loss cannot be used here'):
        FeatureDistiller(pair_of(student_cfg, teacher_cfg), LOSS, levels=(0,), adapter=dict(CONV, **channels))


def test_a_config_is_used_and_left_alone(student_cfg, teacher_cfg):
    cfg = copy.deepcopy(HINT)
    distiller = MODELS.build({**cfg, 'pair': pair_of(student_cfg, teacher_cfg)})
    assert isinstance(distiller, FeatureDistiller)
    assert cfg == HINT


def test_a_bare_hint_has_nothing_to_train(student_cfg):
    """Equal shapes need no adapter; equal features cost nothing."""
    pair = pair_of(student_cfg, student_cfg)
    distiller = FeatureDistiller(pair, LOSS)
    assert list(distiller.parameters()) == []
    with observed(pair) as step:
        loss = distiller(*step.sides)['feat']
        maps = zip(step.student.features('neck'), step.teacher.features('neck'), strict=True)
        expected = [hint_loss(s, t).item() for s, t in maps]
    assert loss.item() == pytest.approx(0.4 * sum(expected) / 5, rel=1e-5)


def test_gradient_reaches_student_and_adapters_and_no_teacher(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    pair.teacher.detector.requires_grad_(True)
    distiller = FeatureDistiller(pair, LOSS, adapter=CONV)
    with observed(pair) as step:
        distiller(*step.sides)['feat'].backward()
    assert all(p.grad.abs().sum() > 0 for p in distiller.parameters())
    assert pair.student.detector.neck.fpn_convs[0].conv.weight.grad.abs().sum() > 0
    assert pair.student.detector.rpn_head.rpn_conv.weight.grad is None
    assert all(p.grad is None for p in pair.teacher.detector.parameters())


def test_maps_of_other_size_meet_on_the_teachers_grid(student_cfg, teacher_cfg):
    pair = pair_of(c4(student_cfg), teacher_cfg)
    distiller = FeatureDistiller(pair, LOSS, 'backbone', levels=(0,), teacher_levels=(3,), adapter=CONV)
    with observed(pair) as step:
        found = distiller(*step.sides)['feat']
        feat_s, feat_t = step.student.features('backbone')[0], step.teacher.features('backbone')[3]
        assert feat_s.shape[-1] == 2 * feat_t.shape[-1]
        conv = distiller.adapters[0].conv
        adapted = torch.einsum('oi,nihw->nohw', conv.weight[:, :, 0, 0], feat_s) + conv.bias[:, None, None]
        expected = 0.4 * (to_grid(adapted, feat_t.shape[-2:]) - feat_t).square().mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_only_its_source_is_recorded(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    assert FeatureDistiller(pair, LOSS, 'backbone', adapter=CONV).kinds == ('backbone',)
    assert FeatureDistiller(pair, LOSS, adapter=CONV).kinds == ('neck',)


@MODELS.register_module()
class ScaledHint(nn.Module):
    """A loss with something to train, of a level's channels."""

    compares = 'maps'

    def __init__(self, student_channels, teacher_channels, loss_weight=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.arange(1.0, 1.0 + student_channels))
        self.teacher_channels, self.loss_weight = teacher_channels, loss_weight

    def forward(self, feat_s, feat_t):
        return self.loss_weight * (self.scale[:, None, None] * feat_s - feat_t).square().mean()


@MODELS.register_module()
class Gain(nn.Module):
    """An adapter of a teacher's map."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.gain = nn.Parameter(torch.full((in_channels, 1, 1), 3.0))

    def forward(self, feat, like):
        return self.gain * feat


def test_losses_and_adapters_hold_modules_for_either_side_a_level_each(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    sides = dict(source='backbone', levels=(0, 2), adapter=CONV, teacher_adapter=dict(type='Gain'))
    distiller = FeatureDistiller(pair, dict(type='ScaledHint', loss_weight=0.5), **sides)
    assert [(len(loss.scale), loss.teacher_channels) for loss in distiller.loss] == [(16, 16), (64, 64)]
    with observed(pair) as step:
        found = distiller(*step.sides)['feat']
        expected = 0.0
        for place, level in enumerate((0, 2)):
            feat_s, feat_t = (side.features('backbone')[level] for side in (step.student, step.teacher))
            adapted = distiller.adapters[place](feat_s, feat_t)
            scale = torch.arange(1.0, 1.0 + feat_t.shape[1])[:, None, None]
            expected += 0.5 * (scale * adapted - 3 * feat_t).square().mean().item() / 2
        found.backward()
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert all(parameter.grad.abs().sum() > 0 for parameter in distiller.parameters())
    assert {name.rpartition('.')[0] for name in distiller.state_dict()} >= {'loss.0', 'loss.1', 'teacher_adapters.1'}
    for loss in distiller.loss:
        loss.loss_weight = 0
    assert not distiller.is_active


@pytest.mark.parametrize(
    ('loss', 'why'),
    [('HintLoss', "HintLoss is constant in the teacher's map"), ('MSELoss', 'MSELoss is least where both maps vanish')],
)
def test_an_adapter_of_the_teachers_maps_is_refused_that_would_not_learn(loss, why, student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    sides = dict(source='backbone', adapter=CONV, teacher_adapter=dict(type='Gain'))
    with pytest.raises(DistillationError, match=why):
        FeatureDistiller(pair, dict(type=loss), **sides)
    FeatureDistiller(pair, dict(type=loss), **{**sides, 'teacher_adapter': dict(type='NormAdapter')})


@MODELS.register_module()
class ToldLoss(nn.Module):
    """A loss without parameters that is told all that there is."""

    compares = 'maps'

    def __init__(self, student_channels, teacher_channels, channels, stride):
        super().__init__()
        self.told = student_channels, teacher_channels, channels, stride

    def forward(self, feat_s, feat_t):
        assert (feat_s.shape[1], feat_t.shape[1]) == self.told[:2]
        return feat_s.mean() - feat_t.mean()


@pytest.mark.parametrize(
    ('adapter', 'told'),
    [
        (None, [(8, 16, 16, 4), (32, 64, 64, 16)]),
        (CONV, [(16, 16, 16, 4), (64, 64, 64, 16)]),
    ],
)
def test_a_loss_is_told_its_level(adapter, told, student_cfg, teacher_cfg):
    """Without an adapter a loss that takes the channels of both sides adapts by itself."""
    pair = pair_of(student_cfg, teacher_cfg)
    distiller = FeatureDistiller(pair, dict(type='ToldLoss'), 'backbone', levels=(0, 2), adapter=adapter)
    assert [loss.told for loss in distiller.loss] == told
    with observed(pair) as step:
        assert distiller(*step.sides)['feat'].isfinite()


@pytest.mark.parametrize(
    ('loss', 'adapter', 'channels'),
    [
        ('MGDLoss', None, [(8, 16), (32, 64)]),
        ('MGDLoss', dict(type='ChannelAdapter'), [(16, 16), (64, 64)]),
        ('FGDLoss', dict(type='ChannelAdapter'), [(16, 16), (64, 64)]),
    ],
)
def test_losses_train_layers_for_the_channels_of_either_side(loss, adapter, channels, student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    distiller = FeatureDistiller(pair, dict(type=loss), 'backbone', levels=(0, 2), adapter=adapter)
    layers = [
        (loss.generation[0].in_channels, loss.generation[-1].out_channels)
        if hasattr(loss, 'generation')
        else (loss.student_context.mask.in_channels, loss.teacher_context.mask.in_channels)
        for loss in distiller.loss
    ]
    assert layers == channels


# What does not fit.


@pytest.mark.parametrize('loss', ['FGDLoss', 'HintLoss'])
def test_a_loss_that_does_not_adapt_is_not_given_unlike_channels(loss, student_cfg, teacher_cfg):
    with pytest.raises(DistillationError, match=r'a bare hint compares equal shapes, .* 8 channels at stride 4'):
        FeatureDistiller(pair_of(student_cfg, teacher_cfg), dict(type=loss), 'backbone', levels=(0,))


def test_a_loss_that_adapts_is_not_given_unlike_strides(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, teacher_cfg)
    with pytest.raises(DistillationError, match=r'the loss adapts channels alone, .* stride 8 and .* stride 16'):
        FeatureDistiller(pair, dict(type='MGDLoss'), levels=(1,), teacher_levels=(2,))


@pytest.mark.parametrize(
    ('arguments', 'problems'),
    [
        (dict(source='roi'), ["student has no 'roi'; source must be one of backbone, neck", "teacher has no 'roi'"]),
        (dict(levels=(0, 7, -1)), ["the student's neck has no level 7; it has levels 0 to 4", 'level -1']),
        (dict(levels=(0,), teacher_levels=(5,)), [r"the teacher's neck has no level 5"]),
        (dict(levels=(0, 1), teacher_levels=(1,)), ['must name one level of each side']),
        (dict(levels=()), ['at least one']),
        (dict(teacher_levels=(0,)), ['must name one level of each side']),
        (dict(pairing='size'), ["pairing must be one of ('stride', 'index'), not 'size'"]),
        (
            dict(adapter=None, levels=(0, 4)),
            ["the student's neck has 16 channels at stride 4 and the teacher's 32 at stride 4", 'stride 64'],
        ),
    ],
)
def test_misfits_are_all_listed(arguments, problems, student_cfg, teacher_cfg):
    with pytest.raises(DistillationError) as caught:
        FeatureDistiller(pair_of(student_cfg, teacher_cfg), LOSS, **{'adapter': CONV, **arguments})
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert expected in found


def test_pyramids_of_other_height(student_cfg, teacher_cfg):
    pair = pair_of(student_cfg, four_levels(teacher_cfg))
    line = r'levels=\(0, 1, 2, 3\), teacher_levels=\(0, 1, 2, 3\)'
    with pytest.raises(DistillationError, match=rf'5 levels \(strides 4, 8, 16, 32, 64\), .* 4 .*{line}'):
        FeatureDistiller(pair, LOSS, adapter=CONV)
    assert len(FeatureDistiller(pair, LOSS, levels=range(4), adapter=CONV).adapters) == 4


def test_bare_maps_of_other_stride(student_cfg):
    with pytest.raises(DistillationError, match=r'16 channels at stride 8 and .* 16 at stride 16'):
        FeatureDistiller(pair_of(student_cfg, student_cfg), LOSS, levels=(1,), teacher_levels=(2,))


def test_a_side_without_a_neck(student_cfg, teacher_cfg):
    with pytest.raises(DistillationError, match="the teacher has no 'neck'; source must be one of backbone"):
        FeatureDistiller(pair_of(student_cfg, c4(teacher_cfg)), LOSS, adapter=CONV)
