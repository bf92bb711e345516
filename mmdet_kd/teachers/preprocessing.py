"""Whether two models look at a picture in the same way."""

import torch
from torch import Tensor, nn


def preprocess_images(preprocessor: nn.Module, images: list[Tensor] | Tensor) -> Tensor:
    """Normalise, reorder and pad raw pictures as a detector does at test time.

    Args:
        preprocessor: the detector's ``data_preprocessor``.
        images: raw pictures (3, H, W) each, or a batch (N, 3, H, W).

    Returns:
        The batch (N, 3, H, W) that the detector's backbone sees.
    """
    return preprocessor({'inputs': images, 'data_samples': None}, training=False)['inputs']


def preprocess_alike(first: nn.Module, second: nn.Module) -> bool:
    """Whether two preprocessors make the same bits of the same pictures.

    They are asked, not compared by their settings: a colour picture of one pixel and a larger one show a difference in
    channel order, mean, std, padding and padding value.
    """
    pictures = [
        torch.tensor([10, 100, 200], dtype=torch.uint8).view(3, 1, 1),
        torch.arange(18, dtype=torch.uint8).view(3, 2, 3),
    ]
    images = [preprocess_images(preprocessor, pictures) for preprocessor in (first, second)]
    return images[0].shape == images[1].shape and bool(torch.equal(*images))


def normalise_alike(first: nn.Module, second: nn.Module) -> bool:
    """Whether two preprocessors make the same of a pixel, however they pad."""
    pixel = torch.tensor([10, 100, 200], dtype=torch.uint8).view(3, 1, 1)
    values = [preprocess_images(preprocessor, [pixel])[0, :, 0, 0] for preprocessor in (first, second)]
    return bool(torch.equal(*values))
