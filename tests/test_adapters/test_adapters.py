"""Adapters bring the student's channels and grid to the teacher's."""

import pytest
import torch
from mmdet.registry import MODELS

from mmdet_kd import adapters
from mmdet_kd.adapters import Conv3x3Adapter, ConvAdapter, LinearAdapter, to_grid

SIZES = [((8, 8), (8, 8)), ((4, 6), (8, 12)), ((9, 7), (4, 3)), ((1, 1), (5, 5)), ((5, 5), (1, 1))]


def noise(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize('adapter', [ConvAdapter, Conv3x3Adapter, LinearAdapter])
@pytest.mark.parametrize(('size_s', 'size_t'), SIZES)
def test_a_map_gets_the_teachers_shape(adapter, size_s, size_t):
    feat_t = torch.zeros(2, 7, *size_t)
    assert adapter(5, 7)(noise(2, 5, *size_s), feat_t).shape == feat_t.shape


def test_linear_takes_vectors():
    adapter, vectors = LinearAdapter(5, 7), noise(3, 5)
    adapted = adapter(vectors, torch.zeros(3, 7))
    expected = [
        sum(adapter.linear.weight[j, i] * vectors[1, i] for i in range(5)) + adapter.linear.bias[j] for j in range(7)
    ]
    torch.testing.assert_close(adapted[1], torch.stack(expected))


@pytest.mark.parametrize(('size_s', 'size_t'), SIZES)
def test_linear_on_a_map_is_the_1x1_convolution(size_s, size_t):
    conv, linear = ConvAdapter(5, 7), LinearAdapter(5, 7)
    with torch.no_grad():
        linear.linear.weight.copy_(conv.conv.weight[:, :, 0, 0])
        linear.linear.bias.copy_(conv.conv.bias)
    feat_s, feat_t = noise(2, 5, *size_s), torch.zeros(2, 7, *size_t)
    torch.testing.assert_close(linear(feat_s, feat_t), conv(feat_s, feat_t))


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_it_is_the_1x1_convolution_that_its_checkpoint_says(memory_format):
    adapter, feat = ConvAdapter(5, 7).double(), noise(2, 5, 4, 6, dtype=torch.float64)
    feat = feat.to(memory_format=memory_format)
    torch.testing.assert_close(adapter(feat, torch.zeros(2, 7, 4, 6)), adapter.conv(feat))
    assert adapter.state_dict().keys() == {'conv.weight', 'conv.bias'}


@pytest.mark.parametrize('relu', [False, True])
def test_the_3x3_convolution_sees_the_neighbours_of_a_cell(relu):
    """By loops, zeros around the map."""
    adapter, feat = Conv3x3Adapter(2, 3, relu=relu).double(), noise(2, 2, 4, 5, dtype=torch.float64)
    found, (weight, bias) = adapter(feat, torch.zeros(2, 3, 4, 5)), adapter.conv.parameters()
    for y, x, out in ((0, 0, 0), (1, 2, 1), (3, 4, 2), (2, 0, 0)):
        expected = bias[out].item()
        for dy, dx in ((i, j) for i in range(-1, 2) for j in range(-1, 2)):
            if 0 <= y + dy < 4 and 0 <= x + dx < 5:
                expected += (weight[out, :, dy + 1, dx + 1] @ feat[1, :, y + dy, x + dx]).item()
        assert found[1, out, y, x].item() == pytest.approx(max(expected, 0) if relu else expected)
    assert (found < 0).any() == (not relu)


def test_the_3x3_convolution_begins_as_it_is_told():
    torch.manual_seed(0)
    conv = Conv3x3Adapter(64, 64, init_std=0.01).conv
    assert conv.weight.abs().max().item() == pytest.approx(0.02, rel=0.01)
    assert conv.weight.std().item() == pytest.approx(0.88 * 0.01, rel=0.02)  # cut off at two deviations
    assert not conv.bias.any()
    assert Conv3x3Adapter(64, 64).conv.bias.any()


def test_equal_channels_are_adapted_all_the_same():
    """Chen et al. find that the adapter matters also there; it must not become an identity."""
    feat = noise(1, 4, 3, 3)
    assert not torch.equal(ConvAdapter(4, 4)(feat, feat), feat)


@pytest.mark.parametrize('name', ['ConvAdapter', 'Conv3x3Adapter', 'LinearAdapter'])
def test_registered_with_mmdet(name):
    adapter = MODELS.build({'type': name, 'in_channels': 2, 'out_channels': 3})
    assert type(adapter) is getattr(adapters, name)
    assert all(p.requires_grad for p in adapter.parameters())


@pytest.mark.parametrize('adapter', [ConvAdapter, LinearAdapter])
def test_gradient_reaches_student_and_adapter(adapter):
    module = adapter(2, 3).double()
    feat_s, feat_t = noise(1, 2, 3, 4, dtype=torch.float64).requires_grad_(), torch.zeros(1, 3, 2, 6)
    assert torch.autograd.gradcheck(lambda f: module(f, feat_t), feat_s)
    module(feat_s, feat_t).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())


def test_the_same_grid_is_the_same_object():
    feat = noise(1, 2, 4, 4)
    assert to_grid(feat, (4, 4)) is feat
    assert to_grid(feat, torch.zeros(1, 1, 4, 4).shape[-2:]) is feat


@pytest.mark.parametrize(('size_s', 'size_t'), SIZES)
def test_constant_maps_stay_constant(size_s, size_t):
    torch.testing.assert_close(to_grid(torch.full((1, 2, *size_s), 3.5), size_t), torch.full((1, 2, *size_t), 3.5))


@pytest.mark.parametrize('factor', [4, 8])
def test_a_coarser_grid_averages(factor):
    """Thin stripes turn grey; sampling between points would lose them."""
    stripes = (torch.arange(8 * factor) % factor == 0).float().expand(1, 1, 8 * factor, -1)
    coarse = to_grid(stripes, (8, 8))
    torch.testing.assert_close(coarse[..., 1:-1], torch.full((1, 1, 8, 6), 1 / factor))


def test_a_checkerboard_turns_grey():
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    coarse = to_grid(board.float()[None, None], (16, 16))
    torch.testing.assert_close(coarse, torch.full_like(coarse, 0.5), rtol=0, atol=0.02)


def test_cell_centres_are_kept():
    """A ramp over the picture stays the same ramp: no shift by half a cell, no stretch to the corners."""
    centres = (torch.arange(16) + 0.5) / 16
    coarse = to_grid(centres.expand(1, 1, 16, 16), (8, 8))
    torch.testing.assert_close(coarse[0, 0, 4, 2:-2], ((torch.arange(8) + 0.5) / 8)[2:-2])


@pytest.mark.parametrize(('size_s', 'size_t'), SIZES[1:])
def test_to_grid_gradcheck(size_s, size_t):
    feat = noise(1, 2, *size_s, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: to_grid(f, size_t), feat)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_under_autocast(dtype):
    with torch.autocast('cpu', dtype=dtype):
        adapted = ConvAdapter(2, 3)(noise(1, 2, 8, 8), torch.zeros(1, 3, 4, 4))
    assert adapted.shape == (1, 3, 4, 4)
    assert adapted.isfinite().all()


class TestNormalisedMaps:
    """By plain numbers: each channel has mean 0 and variance 1 over pictures and places, on either side."""

    def expected(self, feat):
        rows = feat.double().movedim(1, 0).flatten(1)
        normed = [[(x - row.mean()) / (row.var(correction=0) + 1e-5).sqrt() for x in row] for row in rows]
        return torch.tensor(normed).unflatten(1, (len(feat), *feat.shape[2:])).movedim(0, 1).to(feat.dtype)

    @pytest.mark.parametrize('training', [True, False])
    def test_the_norm_alone(self, training):
        adapter, feat = adapters.NormAdapter(3, 3).train(training), 5 + 2 * noise(2, 3, 4, 5)
        torch.testing.assert_close(adapter(feat, feat), self.expected(feat), rtol=1e-4, atol=1e-5)
        assert not adapter.state_dict()  # it neither learns nor remembers

    def test_the_convolution_has_no_bias(self):
        adapter, feat = adapters.NormConvAdapter(2, 3), noise(2, 2, 4, 5)
        convolved = torch.einsum('oi,nihw->nohw', adapter.conv.weight[:, :, 0, 0], feat)
        found = adapter(feat, torch.zeros(2, 3, 4, 5))
        torch.testing.assert_close(found, self.expected(convolved.detach()), rtol=1e-4, atol=1e-5)
        assert adapter.state_dict().keys() == {'conv.weight'}

    def test_half_precision_is_widened(self):
        feat = (300 + 0.5 * noise(2, 3, 4, 5)).half()
        found = adapters.NormAdapter(3, 3)(feat, feat)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, self.expected(feat.float()), rtol=1e-3, atol=1e-3)

    def test_one_place_a_channel_is_0_and_attached(self):
        adapter, feat = adapters.NormConvAdapter(2, 3), noise(1, 2, 1, 1)
        found = adapter(feat, torch.zeros(1, 3, 1, 1))
        assert not found.any()
        found.sum().backward()
        assert adapter.conv.weight.grad is not None

    def test_other_channels_want_the_convolution(self):
        with pytest.raises(ValueError, match='take a NormConvAdapter'):
            adapters.NormAdapter(2, 3)
