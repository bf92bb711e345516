"""VGG-M and VGG16, layer by layer and by their published sizes."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS

from mmdet_kd.backbones import VGG16, VGGM
from mmdet_kd.knowledge import on_meta

FC8 = 1000 * 4096 + 1000


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_vgg_m_layer_by_layer():
    torch.manual_seed(0)
    network = VGGM().double()
    weights = network.state_dict()
    x = torch.randn(1, 3, 50, 61, dtype=torch.float64)

    def conv(x, index, **kwargs):
        return F.conv2d(x, weights[f'features.{index}.weight'], weights[f'features.{index}.bias'], **kwargs).relu()

    def norm(x):
        squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
        around = sum(squares[:, i : i + x.shape[1]] for i in range(5))
        return x / (2 + 5e-4 / 5 * around) ** 0.75

    y = F.max_pool2d(norm(conv(x, 0, stride=2, padding=3)), 3, 2, padding=1)
    y = F.max_pool2d(norm(conv(y, 4, stride=2, padding=2)), 3, 2, padding=1)
    for index in (8, 10, 12):
        y = conv(y, index, padding=1)
    (feat,) = network(x)
    assert feat.shape == (1, 512, 4, 4)
    torch.testing.assert_close(feat, y, rtol=1e-10, atol=1e-12)


def test_vgg16_layer_by_layer():
    torch.manual_seed(0)
    network = VGG16()
    network.init_weights()
    weights = network.state_dict()
    x = torch.randn(1, 3, 33, 48)
    y = x
    for stage in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
        if stage[0] > 0:
            height, width = y.shape[2:]
            y = F.max_pool2d(F.pad(y, (0, width % 2, 0, height % 2), value=-1.0), 2)  # rounds up; all is positive
        for index in stage:
            y = F.conv2d(y, weights[f'features.{index}.weight'], weights[f'features.{index}.bias'], padding=1).relu()
    (feat,) = network(x)
    assert feat.shape == (1, 512, 3, 3)
    assert feat.std() > 0.01
    torch.testing.assert_close(feat, y)


@pytest.mark.parametrize(
    ('network', 'head', 'conv', 'total'),
    [
        (VGG16, dict(type='VGGBBoxHead'), 14_714_688, 138_357_544),
        # 7x7x3x96, 5x5x96x256, 3x3x256x512 and twice 3x3x512x512, with biases; fc6 18432 x 4096, fc7 4096 x 1024
        (
            VGGM,
            dict(type='VGGBBoxHead', roi_feat_size=6, fc_channels=(4096, 1024)),
            14_208 + 614_656 + 1_180_160 + 2 * 2_359_808,
            6_528_640 + 75_501_568 + 4_195_328 + FC8,
        ),
    ],
)
def test_published_sizes(network, head, conv, total):
    """The networks for ImageNet end with fc8, of 1000 classes."""
    backbone, head = on_meta(network), on_meta(lambda: MODELS.build(head))
    assert count(backbone) == conv
    assert count(backbone) + count(head.classifier) + FC8 == total


def test_torchvisions_names():
    convolutions = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    expected = [f'features.{index}.{part}' for index in convolutions for part in ('weight', 'bias')]
    assert list(on_meta(VGG16).state_dict()) == expected
