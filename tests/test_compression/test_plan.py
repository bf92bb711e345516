import copy

import pytest
import torch
from helpers import tiny_teacher_cfg
from helpers.distil import build
from torch import nn

from mmdet_kd.compression import (
    ForwardPass,
    Survey,
    SurveyedLayer,
    TuckerConv2d,
    composed_weight,
    decomposed_model,
    evbmf_base,
    measure_flops,
    plan_at,
    plan_for_share,
    survey,
    uniform_base,
)
from mmdet_kd.errors import DistillationError

SHAPE = (96, 128)


@pytest.fixture(scope='module')
def mid(tiny_set, tmp_path_factory):
    """A config, its detector of base width 32, and its survey."""
    cfg = tiny_teacher_cfg(tiny_set, tmp_path_factory.mktemp('mid'))
    cfg.model.backbone.base_channels = 32
    cfg.model.neck.in_channels = [32, 64, 128, 256]
    detector = build(cfg)
    return cfg, detector, survey(detector, SHAPE)


@pytest.fixture(scope='module')
def bases(mid):
    return {base.__name__: base(mid[2]) for base in (uniform_base, evbmf_base)}


@pytest.mark.parametrize(
    ('base', 'share'),
    [
        ('uniform_base', 0.25),
        ('evbmf_base', 0.375),
        *(
            pytest.param(base, share, marks=pytest.mark.slow)
            for base in ('uniform_base', 'evbmf_base')
            for share in (0.2, 0.25, 0.3, 0.375, 0.45)
            if (base, share) not in (('uniform_base', 0.25), ('evbmf_base', 0.375))
        ),
    ],
)
def test_the_network_of_the_config_has_the_share_that_was_asked_for(mid, bases, base, share):
    cfg, detector, found = mid
    ranks = plan_for_share(found, bases[base], share)
    layers = {layer.name: layer.written(ranks[layer.name]) for layer in found.layers if layer.name in ranks}
    cfg = copy.deepcopy(cfg)
    cfg.model = decomposed_model(cfg.model, detector, layers)
    flops = measure_flops(ForwardPass(build(cfg, init=False), SHAPE))
    assert flops == found.flops_at(ranks)
    assert flops / measure_flops(ForwardPass(detector, SHAPE)) == pytest.approx(share, rel=0.02)


def test_uniform_ranks_are_one_share_of_the_channels(mid):
    _, _, found = mid
    base = uniform_base(found)
    assert base['backbone.layer2.1.conv1'] == (64, 64)
    assert base['roi_head.bbox_head.shared_fcs.0'] == (800, 64)
    ranks = plan_for_share(found, base, 0.25)
    shares = [pair[1] / base[name][1] for name, pair in ranks.items() if base[name][1] >= 32]
    assert len(shares) > 10
    assert max(shares) - min(shares) < 2 / 32


def test_evbmf_ranks_follow_the_weights(mid):
    """A layer with a planted kernel has its ranks; of noise alone, every layer keeps one component."""
    cfg, _, _ = mid
    detector = build(cfg)
    with torch.no_grad():
        for name in ('layer3.1.conv1', 'layer4.1.conv1'):
            conv = detector.backbone.get_submodule(name)
            kernel = composed_weight(TuckerConv2d(conv.in_channels, conv.out_channels, 3, (5, 9), bias=False))
            conv.weight.copy_(kernel / kernel.std() + 0.1 * torch.randn_like(conv.weight))
    found = survey(detector, SHAPE)
    base = evbmf_base(found)
    assert base['backbone.layer3.1.conv1'] == base['backbone.layer4.1.conv1'] == (5, 9)
    assert base['backbone.layer3.1.conv2'] == (1, 1)
    ranks = plan_at(found, base)
    assert ranks['backbone.layer3.1.conv1'] == (5, 9)
    doubled = plan_at(found, base, 2)
    assert doubled['backbone.layer3.1.conv1'] == (10, 18)


def test_more_ranks_cost_more(mid):
    _, _, found = mid
    flops = [found.flops_at(plan_at(found, uniform_base(found), factor / 40)) for factor in range(1, 41)]
    assert flops == sorted(flops)
    assert flops[-1] == found.flops
    assert plan_at(found, uniform_base(found), 1.0) == {}  # full ranks: nothing is worth decomposing


@pytest.mark.parametrize('share', [0.0001, 1.0, 37.5, -1])
def test_a_share_out_of_reach_is_refused_with_the_range(mid, share):
    _, _, found = mid
    least = found.flops_at(plan_at(found, uniform_base(found), 0)) / found.flops
    with pytest.raises(DistillationError, match=f'bring this detector to {least:.4g} with ranks of 1'):
        plan_for_share(found, uniform_base(found), share)


def test_a_share_between_the_few_ranks_of_a_small_network_is_refused_with_the_nearest():
    """4 channels, 3 x 3, at 100 places: 14400; of ranks (2, 1) or (1, 2) 3000, of (2, 2) 5200."""
    found = Survey((SurveyedLayer('conv', nn.Conv2d(4, 4, 3), 100, 100),), {}, 14400, SHAPE)
    assert plan_for_share(found, uniform_base(found), 3000 / 14400) in ({'conv': (2, 1)}, {'conv': (1, 2)})
    with pytest.raises(DistillationError, match=r'a share of 0\.25 of its FLOPs is 0\.2083'):
        plan_for_share(found, uniform_base(found), 0.25)
