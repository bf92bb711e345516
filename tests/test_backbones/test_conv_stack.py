"""One map of stride 16: its size, where its cells lie, what is frozen."""

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from mmdet_kd.backbones import Conv, ConvStack
from mmdet_kd.knowledge import MapShape, map_shapes, on_meta

NETWORKS = {
    'alexnet': dict(type='AlexNet'),
    'torchvision alexnet': dict(type='AlexNet', groups=1),
    'vgg-m': dict(type='VGGM'),
    'vgg16': dict(type='VGG16'),
}
CHANNELS = {'alexnet': 256, 'torchvision alexnet': 256, 'vgg-m': 512, 'vgg16': 512}
# pixels, and cells of 16 of them: half a cell more is a cell
SIZES = [(1, 1), (16, 1), (17, 2), (31, 2), (32, 2), (33, 3), (96, 6), (100, 7), (224, 14), (600, 38), (1000, 63)]


def shape_of(name):
    return on_meta(lambda: MODELS.build(NETWORKS[name]))


@pytest.mark.parametrize('name', NETWORKS)
def test_the_map_covers_the_picture_in_cells_of_16(name):
    network = shape_of(name).eval()
    for (height, rows), (width, columns) in zip(SIZES, reversed(SIZES), strict=True):
        (feat,) = network(torch.zeros(2, 3, height, width, device='meta'))
        assert feat.shape == (2, CHANNELS[name], rows, columns)


@pytest.mark.parametrize('name', NETWORKS)
def test_the_probe_sees_channels_and_stride(name):
    holder = nn.Module()
    holder.backbone = shape_of(name)
    assert map_shapes(holder) == {'backbone': (MapShape(CHANNELS[name], 16),)}


def middle_of_what_a_cell_sees(network, cell):
    """Row of the middle of a cell's receptive field, from the gradient of the network's geometry alone."""
    steps = []
    for module in network.features:
        if isinstance(module, nn.Conv2d):
            step = nn.Conv2d(1, 1, module.kernel_size, module.stride, module.padding)
            nn.init.ones_(step.weight)
            steps.append(step)
        elif isinstance(module, nn.MaxPool2d):
            steps.append(nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode))
    image = torch.zeros(1, 1, 320, 320, requires_grad=True)
    nn.Sequential(*steps)(image)[0, 0, cell, cell].backward()
    rows = image.grad[0, 0].sum(dim=1).nonzero().flatten()
    assert 0 < rows[0] < rows[-1] < 319  # no border cuts it
    return (rows[0] + rows[-1]).item() / 2


@pytest.mark.parametrize(('name', 'off'), [('alexnet', 0), ('torchvision alexnet', 0), ('vgg-m', 0), ('vgg16', 7.5)])
def test_where_a_cell_lies(name, off):
    network = MODELS.build(NETWORKS[name])
    for cell in (9, 10):
        assert middle_of_what_a_cell_sees(network, cell) == 16 * cell + off


@pytest.mark.parametrize(
    ('cfg', 'frozen'),
    [
        (dict(type='VGG16'), []),
        (dict(type='VGG16', frozen_stages=2), [0, 2, 5, 7]),
        (dict(type='VGGM', frozen_stages=1), [0]),
        (dict(type='AlexNet', frozen_stages=2), [0, 4]),
        (dict(type='AlexNet', groups=1, frozen_stages=3), [0, 3, 6, 8, 10]),
    ],
)
def test_frozen_stages(cfg, frozen):
    network = on_meta(lambda: MODELS.build(cfg))
    expected = {f'features.{index}.{part}' for index in frozen for part in ('weight', 'bias')}
    assert {name for name, p in network.named_parameters() if not p.requires_grad} == expected


def test_from_scratch():
    """As He et al.: normal, of a variance of 2 / (outputs x kernel)."""
    torch.manual_seed(0)
    network = MODELS.build(NETWORKS['vgg-m'])
    network.init_weights()
    assert network.features[8].weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert not network.features[8].bias.any()


def test_a_table_of_ones_own():
    network = ConvStack([Conv(4, 3, stride=2), nn.Identity, Conv(6, 5, groups=2)])
    assert [type(module).__name__ for module in network.features] == ['Conv2d', 'ReLU', 'Identity', 'Conv2d', 'ReLU']
    assert network.features[3].weight.shape == (6, 2, 5, 5)
    assert network(torch.zeros(1, 3, 8, 8))[0].shape == (1, 6, 4, 4)
