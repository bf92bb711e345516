"""A classifier that is trained on the ground-truth boxes of a detection set."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..backbones import picture_channels, shapes_only
from ..errors import DistillationError
from .crops import crop_boxes
from .early_maps import EarlyLayer, early_maps


@MODELS.register_module()
class CropClassifier(BaseModel):
    """Tells the class of what is in a box.

    It is trained and tested on the batches of a detector: cuts the ground-truth boxes out of the normalised pictures
    and classifies them, so that as a teacher it knows the detector's own pictures. There is no background class.

    Args:
        backbone: config of any backbone of mmdet; of timm, where that is installed (:class:`TimmBackbone`); or of
            mmpretrain, where that is installed and imported (``'mmpretrain.ResNet'``, with 'mmpretrain.models' among
            the ``custom_imports``). Its last map is averaged over the picture.
        num_classes: C.
        losses: name -> config of a loss of mmdet that is called with (logits (K, C), labels (K,), avg_factor=K); the
            log shows it as ``loss_<name>``. DICOD trains with a softmax and with sigmoids, on the same logits.
        crop_size: pixels; the paper's is 112.
        data_preprocessor: that of the detector which it will teach.
        init_cfg: as in BaseModel.

    Source: Guo, Alvarez and Salzmann, NeurIPS 2021 (DICOD), section 3: the teacher.
    """

    def __init__(
        self,
        backbone: dict,
        num_classes: int,
        losses: Mapping[str, dict],
        crop_size: int = 112,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if not losses:
            raise DistillationError(
                ["CropClassifier: give it a loss, e.g. losses=dict(softmax=dict(type='CrossEntropyLoss'))"]
            )
        self.backbone = MODELS.build(backbone)
        self.losses = nn.ModuleDict({name: MODELS.build(loss) for name, loss in losses.items()})
        self.num_classes, self.crop_size = num_classes, crop_size
        self.fc = nn.Linear(self._channels(), num_classes)

    def forward(
        self, inputs: Tensor, data_samples: Sequence[DetDataSample], mode: str = 'loss'
    ) -> dict[str, Tensor] | list[DetDataSample] | Tensor:
        """Classify the ground-truth boxes of a batch.

        Args:
            inputs: normalised pictures (N, M, H, W) of as many channels as the backbone takes.
            data_samples: with ``gt_instances``.
            mode: 'loss'; 'predict', which gives each sample ``pred_instances.logits`` (k, C); or 'tensor'.
        """
        boxes = [sample.gt_instances.bboxes for sample in data_samples]
        if mode == 'loss':
            return self.loss(inputs, boxes, torch.cat([sample.gt_instances.labels for sample in data_samples]))
        logits = self.classify(inputs, boxes)
        if mode == 'tensor':
            return logits
        for sample, of_sample in zip(data_samples, logits.split([len(each) for each in boxes]), strict=True):
            sample.pred_instances = InstanceData(logits=of_sample)
        return list(data_samples)

    def loss(self, images: Tensor, boxes: Sequence[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """The configured losses; attached zeros for a batch without a box, so that every rank has all gradients."""
        if len(labels) == 0:
            corners = images.new_zeros(2, 4)  # a pixel each; two of them: one gives batch norm no variance
            zero = 0 * self.classify(images[:1], [corners]).sum()
            return {f'loss_{name}': zero for name in self.losses}
        logits = self.classify(images, boxes)
        return {f'loss_{name}': loss(logits, labels, avg_factor=len(labels)) for name, loss in self.losses.items()}

    def classify(self, images: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """The logits (K, C) of boxes.

        Args:
            images: normalised pictures (N, M, H, W).
            boxes: of each picture, (k, 4), xyxy, pixels.
        """
        crops = self.crop(images, boxes)
        return self.logits_of(crops) if len(crops) else images.new_zeros(0, self.num_classes)

    def crop(self, images: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """The boxes of pictures as squares (K, M, crop_size, crop_size); see :func:`crop_boxes`."""
        return crop_boxes(images, boxes, self.crop_size)

    def logits_of(self, crops: Tensor) -> Tensor:
        """The logits (K, C) of at least one crop."""
        return self.fc(_last(self.backbone(crops)).mean(dim=(2, 3)))

    def early_maps(self, crops: Tensor, layers: Sequence[EarlyLayer]) -> list[Tensor]:
        """What early layers, named from here (``'backbone.maxpool'``), make of crops; see :func:`early_maps`."""
        of_backbone = [layer._replace(name=layer.name.removeprefix('backbone.')) for layer in layers]
        return early_maps(self.backbone, crops, of_backbone)

    def _channels(self) -> int:
        """Of the backbone's last map."""
        with torch.no_grad():
            crop = torch.zeros(1, picture_channels(self.backbone), self.crop_size, self.crop_size)
            maps = shapes_only(self.backbone)(crop)
        return _last(maps).shape[1]


def _last(maps: Any) -> Tensor:
    return maps[-1] if isinstance(maps, (tuple, list)) else maps
