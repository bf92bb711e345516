import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner import load_state_dict
from torch import nn

from mmdet_kd.compression import LowRankLinear, TuckerConv2d
from mmdet_kd.compression.layers import layer_like
from mmdet_kd.errors import DistillationError


def shapes(layer):
    return {name: tuple(value.shape) for name, value in layer.state_dict().items()}


def test_both_sides_the_core_has_stride_padding_and_dilation_and_the_last_one_the_bias():
    layer = TuckerConv2d(8, 12, 3, (2, 5), stride=2, padding=3, dilation=2, padding_mode='reflect')
    assert shapes(layer) == {
        'first.weight': (2, 8, 1, 1),
        'core.weight': (5, 2, 3, 3),
        'last.weight': (12, 5, 1, 1),
        'last.bias': (12,),
    }
    core = layer.core
    assert (core.stride, core.padding, core.dilation, core.padding_mode) == ((2, 2), (3, 3), (2, 2), 'reflect')
    x = torch.zeros(1, 8, 11, 13)
    assert layer(x).shape == nn.Conv2d(8, 12, 3, stride=2, padding=3, dilation=2)(x).shape


@pytest.mark.parametrize(
    ('ranks', 'names'),
    [
        ((8, 5), {'core.weight', 'last.weight', 'last.bias'}),
        ((2, 12), {'first.weight', 'core.weight', 'core.bias'}),
        ((8, 12), {'core.weight', 'core.bias'}),
    ],
)
def test_the_side_of_a_full_rank_is_left_out(ranks, names):
    assert set(TuckerConv2d(8, 12, 3, ranks).state_dict()) == names


def test_all_three_of_a_grouped_convolution_are_grouped():
    layer = TuckerConv2d(8, 12, 3, (3, 2), groups=2, bias=False)
    assert shapes(layer) == {'first.weight': (6, 4, 1, 1), 'core.weight': (4, 3, 3, 3), 'last.weight': (12, 2, 1, 1)}
    assert [part.groups for part in layer] == [2, 2, 2]


def test_a_linear_layer_becomes_two():
    layer = LowRankLinear(8, 12, 3)
    assert shapes(layer) == {'first.weight': (3, 8), 'last.weight': (12, 3), 'last.bias': (12,)}
    assert layer(torch.zeros(2, 7, 8)).shape == (2, 7, 12)


def test_a_config_builds_both():
    conv = MODELS.build(dict(type='TuckerConv2d', in_channels=8, out_channels=12, kernel_size=3, ranks=(2, 5)))
    assert isinstance(conv, TuckerConv2d)
    linear = MODELS.build(dict(type='LowRankLinear', in_features=8, out_features=12, rank=2))
    assert isinstance(linear, LowRankLinear)


def test_a_frozen_layer_stays_frozen():
    conv = nn.Conv2d(8, 12, 3)
    assert all(parameter.requires_grad for parameter in layer_like(conv, (2, 5)).parameters())
    assert not any(parameter.requires_grad for parameter in layer_like(conv.requires_grad_(False), (2, 5)).parameters())


@pytest.mark.parametrize('strict', [True, False])
@pytest.mark.parametrize(
    ('layer', 'other'),
    [
        (TuckerConv2d(8, 8, 3, (4, 4)), TuckerConv2d(8, 8, 3, (4, 5))),
        (TuckerConv2d(8, 8, 3, (4, 4)), nn.Conv2d(8, 8, 3)),
        (LowRankLinear(8, 8, 2), LowRankLinear(8, 8, 3)),
    ],
)
def test_weights_of_another_network_are_refused_also_where_a_load_is_not_strict(layer, other, strict):
    network, others = nn.Sequential(layer), nn.Sequential(other)
    with pytest.raises(DistillationError, match='not of a network with the same ranks: 0'):
        load_state_dict(network, others.state_dict(), strict=strict)
    load_state_dict(network, network.state_dict(), strict=strict)
