"""Networks of timm as backbones of a classifier."""

from typing import Any

from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import DistillationError


@MODELS.register_module()
class TimmBackbone(nn.Module):
    """The maps of a network of timm, where that package is installed.

    Its layers are named from ``net``: KD-loc finds a ResNet's stem at ``'backbone.net.maxpool'``.

    Args:
        model_name: as timm's ``create_model`` knows it, of a network that offers ``features_only``.
        **options: of ``create_model``, e.g. ``pretrained=True``.

    Raises:
        DistillationError: timm cannot be imported.
    """

    def __init__(self, model_name: str, **options: Any) -> None:
        super().__init__()
        try:
            import timm  # not a dependency
        except ImportError as error:
            raise DistillationError(
                [f'TimmBackbone needs the package timm ({error}): pip install timm, or take a backbone of mmdet']
            ) from error
        self.net = timm.create_model(model_name, features_only=True, **options)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Maps of pictures (N, 3, H, W), a stage each."""
        return self.net(pictures)
