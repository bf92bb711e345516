import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmdet_kd.compression import (
    LowRankLinear,
    TuckerConv2d,
    composed_weight,
    decompose,
    evbmf_ranks,
    low_rank,
    relative_error,
    tucker2,
)
from mmdet_kd.errors import DistillationError

CONVOLUTIONS = {
    'plain': (dict(in_channels=8, out_channels=12, kernel_size=3, padding=1), (3, 5)),
    'no bias': (dict(in_channels=8, out_channels=12, kernel_size=3, bias=False), (3, 5)),
    'strided and dilated': (
        dict(in_channels=8, out_channels=12, kernel_size=3, stride=2, padding=2, dilation=2),
        (3, 5),
    ),
    'oblong': (dict(in_channels=8, out_channels=12, kernel_size=(1, 5), padding=(0, 2), stride=(1, 2)), (3, 5)),
    'grouped': (dict(in_channels=8, out_channels=12, kernel_size=3, padding=1, groups=2), (2, 3)),
    'grouped without bias': (dict(in_channels=9, out_channels=12, kernel_size=5, groups=3, bias=False), (2, 3)),
    'of a picture': (dict(in_channels=3, out_channels=12, kernel_size=7, stride=4, padding=3), (3, 5)),
    'input alone': (dict(in_channels=8, out_channels=12, kernel_size=3, padding=1), (3, 12)),
    '1x1': (dict(in_channels=8, out_channels=12, kernel_size=1, stride=2), (8, 5)),
    '1x1 of full rank': (dict(in_channels=8, out_channels=12, kernel_size=1), (8, 8)),
    '1x1 grouped': (dict(in_channels=8, out_channels=12, kernel_size=1, groups=2), (4, 2)),
    'reflected': (dict(in_channels=8, out_channels=12, kernel_size=3, padding=1, padding_mode='reflect'), (3, 5)),
    'full': (dict(in_channels=8, out_channels=12, kernel_size=3, padding=1, groups=2), (4, 6)),
}


def numpy_singular_values(weight, mode):
    """Of the unfolding of a kernel along a mode."""
    return np.linalg.svd(np.moveaxis(weight.detach().double().numpy(), mode, 0).reshape(weight.shape[mode], -1))[1]


@pytest.mark.parametrize('kind', CONVOLUTIONS)
def test_a_convolution_that_has_the_ranks_is_reproduced(kind):
    """Its kernel is composed of random factors; nothing is lost at their ranks, which the decomposition must find."""
    torch.manual_seed(0)
    settings, ranks = CONVOLUTIONS[kind]
    conv = nn.Conv2d(**settings)
    with torch.no_grad():
        conv.weight.copy_(composed_weight(TuckerConv2d(ranks=ranks, **settings)))
    layer = decompose(conv, ranks)
    x = torch.randn(2, conv.in_channels, 13, 11)
    torch.testing.assert_close(layer(x), conv(x), rtol=0, atol=1e-5)
    assert relative_error(conv, layer) < 1e-6
    assert layer.state_dict().keys() == TuckerConv2d(ranks=ranks, **settings).state_dict().keys()


@pytest.mark.parametrize('kind', CONVOLUTIONS)
def test_the_composed_weight_is_that_of_one_convolution(kind):
    torch.manual_seed(0)
    settings, ranks = CONVOLUTIONS[kind]
    if settings.get('padding_mode'):
        settings = {**settings, 'padding': 0, 'padding_mode': 'zeros'}
    layer = TuckerConv2d(ranks=ranks, **settings).double()
    x = torch.randn(2, settings['in_channels'], 13, 11, dtype=torch.float64)
    arguments = {key: settings.get(key, default) for key, default in dict(stride=1, padding=0, dilation=1).items()}
    alone = F.conv2d(x, composed_weight(layer), list(layer)[-1].bias, groups=settings.get('groups', 1), **arguments)
    torch.testing.assert_close(layer(x), alone)


@pytest.mark.parametrize(('inputs', 'outputs'), [(30, 12), (12, 30)])
@pytest.mark.parametrize('bias', [True, False])
def test_a_linear_layer_of_full_rank_is_reproduced_and_a_truncated_one_is_the_best(inputs, outputs, bias):
    torch.manual_seed(0)
    linear = nn.Linear(inputs, outputs, bias=bias)
    x = torch.randn(4, 5, inputs)
    layer = decompose(linear, 12)
    assert isinstance(layer, LowRankLinear)
    torch.testing.assert_close(layer(x), linear(x), rtol=0, atol=1e-5)
    values = np.linalg.svd(linear.weight.detach().double().numpy())[1]
    for rank in (1, 4, 11):
        expected = np.sqrt((values[rank:] ** 2).sum() / (values**2).sum())
        assert relative_error(linear, decompose(linear, rank)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('ranks', [(1, 1), (3, 2), (5, 9)])
def test_the_error_of_both_sides_is_no_better_than_one_side_alone_and_better_than_a_single_pass(ranks):
    """The single pass projects on the leading vectors of each unfolding (the HOSVD of De Lathauwer 2000)."""
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, 3)
    lost = [
        (numpy_singular_values(conv.weight, mode)[rank:] ** 2).sum() for mode, rank in zip((1, 0), ranks, strict=True)
    ]
    kernel = conv.weight.detach().double().numpy()
    last, first = (
        np.linalg.svd(np.moveaxis(kernel, mode, 0).reshape(kernel.shape[mode], -1))[0][:, : ranks[1 - mode]]
        for mode in (0, 1)
    )
    single_pass = kernel - np.einsum('tb,ub,as,cs,ucij->taij', last, last, first, first, kernel)
    error = relative_error(conv, decompose(conv, ranks)) ** 2 * (kernel**2).sum()
    assert max(lost) <= error < (single_pass**2).sum() <= sum(lost)


@pytest.mark.parametrize(('ranks', 'mode'), [((8, 4), 0), ((3, 12), 1)])
def test_the_error_of_one_side_is_the_least_there_is(ranks, mode):
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, 3)
    values = numpy_singular_values(conv.weight, mode)
    expected = np.sqrt((values[ranks[1 - mode] :] ** 2).sum() / (values**2).sum())
    assert relative_error(conv, decompose(conv, ranks)) == pytest.approx(expected, rel=1e-5)


def test_the_error_falls_with_the_rank():
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 16, 3, groups=2)
    for ranks in ([(rank, rank) for rank in range(1, 9)], [(8, rank) for rank in range(1, 9)]):
        errors = [relative_error(conv, decompose(conv, pair)) for pair in ranks]
        assert errors == sorted(errors, reverse=True)
        assert errors[0] > 0.5
        assert errors[-1] < 1e-6


def test_a_grouped_convolution_is_decomposed_group_by_group():
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 12, 3, groups=2)
    weight = composed_weight(decompose(conv, (2, 3)))
    for group in range(2):
        alone = nn.Conv2d(4, 6, 3)
        with torch.no_grad():
            alone.weight.copy_(conv.weight[6 * group : 6 * group + 6])
        torch.testing.assert_close(weight[6 * group : 6 * group + 6], composed_weight(decompose(alone, (2, 3))))


def test_more_rank_than_the_unfolding_has_costs_nothing_but_zeros():
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 12, 1)
    assert relative_error(conv, decompose(conv, (2, 5))) < 1e-6
    conv = nn.Conv2d(16, 12, 1, groups=4)
    assert relative_error(conv, decompose(conv, (4, 3))) < 1e-6
    conv = nn.Conv2d(20, 40, 3)
    assert relative_error(conv, decompose(conv, (15, 1))) < 1


def test_the_factors_of_a_kernel_have_the_documented_shapes():
    first, core, last = tucker2(torch.randn(12, 8, 3, 3), (2, 5))
    assert (first.shape, core.shape, last.shape) == ((2, 8), (5, 2, 3, 3), (12, 5))
    assert {first.dtype, core.dtype, last.dtype} == {torch.float64}
    last, first = low_rank(torch.randn(12, 8), 3)
    assert (last.shape, first.shape) == ((12, 3), (3, 8))


def test_evbmf_finds_the_ranks_of_a_noisy_kernel():
    torch.manual_seed(0)
    kernel = composed_weight(TuckerConv2d(32, 48, 3, (4, 7), bias=False))
    conv = nn.Conv2d(32, 48, 3)
    with torch.no_grad():
        conv.weight.copy_(kernel / kernel.std() + 0.1 * torch.randn(48, 32, 3, 3))
    assert evbmf_ranks(conv) == (4, 7)
    assert evbmf_ranks(nn.Conv2d(16, 16, 3)) == (1, 1)  # noise: still a layer


def test_without_tensorly_layers_work_and_a_decomposition_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorly', None)
    layer = TuckerConv2d(8, 12, 3, (2, 5))
    assert layer(torch.zeros(1, 8, 5, 5)).shape == (1, 12, 3, 3)
    decompose(nn.Linear(8, 12), 3)
    with pytest.raises(DistillationError, match='pip install tensorly'):
        decompose(nn.Conv2d(8, 12, 3), (2, 5))
