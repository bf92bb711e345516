"""Box heads of two wide fully connected layers, fc6 and fc7."""

from typing import Any

from mmdet.models import BBoxHead
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..backbones import whole_weights


@MODELS.register_module()
class VGGBBoxHead(BBoxHead):
    """fc6 and fc7 of a network that was trained on ImageNet, then classes and boxes.

    They are ``classifier.0`` and ``classifier.3``, as in torchvision's VGG16, so that an ``init_cfg`` of the type
    Pretrained loads them from the file from which the backbone takes its convolutions. Dropout follows each.

    Args:
        in_channels: of the RoIs' maps.
        roi_feat_size: height and width of the RoIs' maps: 7 for VGG16, 6 for VGG-M.
        fc_channels: outputs of fc6 and of fc7; (4096, 1024) in ``VGG_CNN_M_1024``.
        init_cfg: mmengine's, added to the usual initialisation of all layers. A checkpoint must bring fc6 and fc7.
        **kwargs: of mmdet's BBoxHead.

    Raises:
        DistillationError: in ``init_weights``, if the checkpoint cannot be read or lacks fc6 or fc7.
    """

    #: Modules before fc6 that have no weights, so that the later ones are numbered as in torchvision.
    _leading_modules = 0

    def __init__(
        self,
        in_channels: int = 512,
        roi_feat_size: int = 7,
        fc_channels: tuple[int, int] = (4096, 4096),
        init_cfg: dict | list[dict] | None = None,
        **kwargs: Any,
    ) -> None:
        fc6, fc7 = fc_channels
        super().__init__(in_channels=fc7, roi_feat_size=1, **kwargs)  # the layers after fc7 see a vector
        self.classifier = nn.Sequential(
            *(nn.Identity() for _ in range(self._leading_modules)),
            *(nn.Linear(in_channels * roi_feat_size**2, fc6), nn.ReLU(inplace=True), nn.Dropout()),
            *(nn.Linear(fc6, fc7), nn.ReLU(inplace=True), nn.Dropout()),
        )
        self.init_cfg.append(dict(type='Xavier', distribution='uniform', override=dict(name='classifier')))
        self.init_cfg += init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg] if init_cfg else []

    def forward(self, feats: Tensor) -> tuple[Tensor, Tensor]:
        """Class scores (n, classes + 1) and box deltas (n, classes * 4) of RoIs (n, C, size, size)."""
        return super().forward(self.classifier(feats.flatten(1)))

    def init_weights(self) -> None:
        """Initialise as mmengine does, and check that a checkpoint brought fc6 and fc7."""
        with whole_weights(self, 'classifier'):
            super().init_weights()


@MODELS.register_module()
class AlexNetBBoxHead(VGGBBoxHead):
    """fc6 and fc7 of AlexNet, in torchvision's names for them, ``classifier.1`` and ``classifier.4``; then as VGG's.

    Dropout follows fc6 and fc7, as in the paper's network and in Fast R-CNN; torchvision has it before them.

    Args:
        in_channels: of the RoIs' maps.
        roi_feat_size: height and width of the RoIs' maps.
        **kwargs: of :class:`VGGBBoxHead`.
    """

    _leading_modules = 1

    def __init__(self, in_channels: int = 256, roi_feat_size: int = 6, **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, roi_feat_size=roi_feat_size, **kwargs)
