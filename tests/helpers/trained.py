"""Weights as a training leaves them, which fresh ones hide: offsets move by cells, no norm and no branch is idle."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def pictures(seed: int, count: int = 2, size: tuple[int, int] = (384, 384)) -> Tensor:
    """Blobs, edges and noise (N, 3, H, W), normalised: what real pictures are to a network more than noise alone is."""
    generator = torch.Generator().manual_seed(seed)
    blobs = torch.randn(count, 3, 8, 8, generator=generator)
    smooth = F.interpolate(blobs, size=size, mode='bicubic')
    edges = F.interpolate(blobs.flip(1), size=size, mode='nearest')
    return 0.6 * smooth + 0.4 * edges + 0.3 * torch.randn(count, 3, *size, generator=generator)


def randomise_as_trained(model: nn.Module, *parts: str, picture: Tensor | None = None, seed: int = 0) -> None:
    """Draw every weight of a model anew, and let its batch norms gather the statistics of a picture.

    Fresh deformable convolutions have offsets of 0, fresh residual branches may end in a norm of weight 0, and fresh
    batch norms do nothing: a fault in any of them would not show.

    Args:
        model: changed in place; left in eval mode.
        *parts: attributes of the model that a picture passes one after the other, e.g. 'backbone' and 'neck'.
        picture: (N, 3, H, W); `pictures` if not given.
        seed: of the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    offsets = {module for name, module in model.named_modules() if 'offset' in name.rpartition('.')[2]}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            noise = torch.randn(parameter.shape, generator=generator)
            norm = 'Norm' in type(module).__name__ or isinstance(module, _BatchNorm)
            if norm and name == 'weight':
                parameter.data = 1 + 0.2 * noise
            elif module in offsets:  # by pixels; steeper ones would make any rounding grow from layer to layer
                parameter.data = noise * (1.5 if name == 'bias' else 0.05 / parameter[0].numel() ** 0.5)
            elif parameter.dim() > 1:
                parameter.data = noise * (1.5 / parameter[0].numel()) ** 0.5
            else:
                parameter.data = (parameter.data if 'scale' in name else 0) + 0.2 * noise
    model.eval()
    without_eps: list[nn.Module] = []
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.training, norm.momentum = True, 1.0
        if norm.eps == 0:  # NAS-FCOS's, with which batch norm does not train
            norm.eps, without_eps = 1e-5, [*without_eps, norm]
    maps = pictures(seed) if picture is None else picture
    with torch.no_grad():
        for part in parts:
            maps = getattr(model, part)(maps)
    for norm in norms:
        norm.training, norm.eps = False, 0 if norm in without_eps else norm.eps
        norm.running_var.clamp_(min=1e-3)
