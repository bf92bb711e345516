"""Files that are published on the internet, made here with random weights and put where torch keeps its downloads."""

from __future__ import annotations

from pathlib import Path

import torch
from mmdet.registry import MODELS
from torch import Tensor

#: What torchvision published under these names (torchvision 0.12, `model_urls` of torchvision/models/resnet.py).
RESNETS = {
    'resnet18': 'https://download.pytorch.org/models/resnet18-f37072fd.pth',
    'resnet34': 'https://download.pytorch.org/models/resnet34-b627a593.pth',
    'resnet50': 'https://download.pytorch.org/models/resnet50-0676ba61.pth',
    'resnet101': 'https://download.pytorch.org/models/resnet101-63fe2227.pth',
}


def resnet_file(depth: int, seed: int = 3) -> dict[str, Tensor]:
    """The tensors of torchvision's file of a ResNet, `fc` too, with random weights and random statistics."""
    generator = torch.Generator().manual_seed(seed)
    weights = MODELS.build(dict(type='ResNet', depth=depth)).state_dict()
    channels = 512 if depth < 50 else 2048
    weights.update({'fc.weight': torch.zeros(1000, channels), 'fc.bias': torch.zeros(1000)})
    for name, value in weights.items():
        if value.dim() > 1:
            value.normal_(std=(2 / value[0].numel()) ** 0.5, generator=generator)
        elif name.endswith(('.weight', 'running_var')):  # of batch norm
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value.normal_(std=0.1, generator=generator)
    return weights


def publish(torch_home: Path, address: str, content: dict) -> Path:
    """Put a file where torch keeps what it has downloaded from an address."""
    path = torch_home / 'hub' / 'checkpoints' / address.rpartition('/')[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path
