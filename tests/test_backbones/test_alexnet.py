"""AlexNet, layer by layer and by its published size."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS

from mmdet_kd.backbones import AlexNet
from mmdet_kd.knowledge import on_meta


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_two_groups_layer_by_layer():
    torch.manual_seed(0)
    network = AlexNet().double()
    weights = network.state_dict()
    x = torch.randn(1, 3, 61, 70, dtype=torch.float64)

    def conv(x, index, **kwargs):
        return F.conv2d(x, weights[f'features.{index}.weight'], weights[f'features.{index}.bias'], **kwargs).relu()

    def two_halves(x, index, padding):
        """Krizhevsky's two GPUs: each half of the outputs sees its own half of the inputs."""
        inputs = x.chunk(2, dim=1)
        kernels = weights[f'features.{index}.weight'].chunk(2)
        biases = weights[f'features.{index}.bias'].chunk(2)
        halves = [F.conv2d(*args, padding=padding).relu() for args in zip(inputs, kernels, biases, strict=True)]
        return torch.cat(halves, dim=1)

    def norm(x):
        squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
        around = sum(squares[:, i : i + x.shape[1]] for i in range(5))
        return x / (1 + 1e-4 / 5 * around) ** 0.75

    def pool(x):
        return F.max_pool2d(x, 3, 2, padding=1)

    y = pool(norm(conv(x, 0, stride=4, padding=5)))
    y = pool(norm(two_halves(y, 4, padding=2)))
    y = conv(y, 8, padding=1)
    y = two_halves(y, 10, padding=1)
    y = two_halves(y, 12, padding=1)
    (feat,) = network(x)
    assert feat.shape == (1, 256, 4, 5)
    torch.testing.assert_close(feat, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(('groups', 'conv', 'total'), [(2, 2_334_080, 60_965_224), (1, 2_469_696, 61_100_840)])
def test_published_sizes(groups, conv, total):
    """Of Caffe's and of torchvision's network; theirs ends with fc8, of 1000 classes."""
    network = on_meta(lambda: AlexNet(groups=groups))
    head = on_meta(lambda: MODELS.build(dict(type='AlexNetBBoxHead')))
    assert count(network) == conv
    assert count(network) + count(head.classifier) + 4096 * 1000 + 1000 == total


def test_torchvisions_names_and_shapes():
    network = on_meta(lambda: AlexNet(groups=1))
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items() if key.endswith('weight')}
    assert shapes == {
        'features.0.weight': (64, 3, 11, 11),
        'features.3.weight': (192, 64, 5, 5),
        'features.6.weight': (384, 192, 3, 3),
        'features.8.weight': (256, 384, 3, 3),
        'features.10.weight': (256, 256, 3, 3),
    }


def test_other_groups_are_refused():
    with pytest.raises(ValueError, match=r'groups must be 2 .* or 1 .*, not 4'):
        AlexNet(groups=4)
