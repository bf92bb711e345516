"""The dense heads of YOLOv3 and YOLOF."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import torch
from mmdet.models.dense_heads import YOLOFHead, YOLOV3Head
from torch import Tensor

from .anchors import AnchorView
from .base import Call, Calls, Point, register_view
from .dense import NO_CENTERNESS, NO_TOWERS, Assignment, DenseMaps, DenseView, PositivePriors, Priors
from .dense_predictions import DensePredictions
from .dense_targets import TargetsOfLevels, in_batch
from .structures import Truth


@register_view(YOLOV3Head)
class YOLOv3View(TargetsOfLevels):
    """One map a level holds, for each anchor, 4 numbers of the box, an objectness and the classes.

    The quality is the objectness, and a class score says which object it is if it is one: only positive anchors train
    it. Levels go from the coarsest to the finest.

    Source: ``YOLOV3Head.loss_by_feat_single`` and ``YOLOV3Head.predict_by_feat`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **NO_TOWERS,
        **NO_CENTERNESS,
        'distributions': 'it regresses numbers',
        'assign': 'its assigner also asks which cells hold the centres of the true boxes',
    }
    conditional = True

    @property
    def use_sigmoid(self) -> bool:
        """See :class:`~mmdet_kd.heads.DenseView`; this head knows nothing else."""
        return True

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        del training
        split = [level.unflatten(1, (self.head.num_base_priors, self.head.num_attrib)) for level in raw[0]]
        scores, regressed, quality = (
            [level[:, :, part].flatten(1, 2) for level in split] for part in (slice(5, None), slice(4), slice(4, 5))
        )
        return DenseMaps(scores, regressed, quality)

    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        places = torch.cat([regressed[:, :2].sigmoid(), regressed[:, 2:]], dim=1)
        return self.head.bbox_coder.decode(priors.places, places, priors.strides)

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`. The class is the largest of the smoothed ones."""
        (call,) = calls['get_targets']
        maps = torch.cat(call.result[0], dim=1)
        positive = maps[..., 4] > 0
        labels = maps[..., 5:].argmax(dim=-1).masked_fill(~positive, self.num_classes)
        return Assignment(labels, positive.to(maps.dtype))


@register_view(YOLOFHead)
class YOLOFView(AnchorView):
    """One level. Its class scores are joined with an objectness before they are given.

    A true box is assigned to the anchors and to the predicted boxes that are nearest to it. The labels know one true
    box of an anchor at most, and ignore some; an anchor is trained towards each true box that it is a pair with.

    Source: ``YOLOFHead.get_targets`` and ``UniformAssigner.assign`` of mmdet.
    """

    cannot: ClassVar[Mapping[str, str]] = {
        **AnchorView.cannot,
        'assign': 'it assigns priors by what it predicts for them',
    }

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        points = DenseView.points(self, questions)
        if 'positives' in questions:
            points['assign'] = (self.head.assigner, 'assign')
        return points

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        (call,) = calls['get_targets']
        return Assignment(*call.result[:2])

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. A pair may be there twice, as it is in the head's loss."""
        predicted = DensePredictions(self, self.maps(calls['forward'][0].result, training=True)).boxes.detach()
        images, places, assigned = [], [], []
        for image, (call, boxes) in enumerate(zip(calls['assign'], truth.boxes, strict=True)):
            pairs, of_pairs = _pairs(call, predicted[image], len(boxes))
            images.append(torch.full_like(pairs, image))
            places.append(pairs)
            assigned.append(of_pairs)
        return PositivePriors(torch.cat(images), torch.cat(places), in_batch(assigned, truth))


def _pairs(call: Call, predicted: Tensor, boxes: int) -> tuple[Tensor, Tensor]:
    """The pairs of a prior and a true box of one picture that the assigner gave to the loss.

    The assigner tells a pair's prior by its predicted box alone, and goes through the true boxes again and again.

    Args:
        call: of the assigner.
        predicted: the boxes (M, 4) that the head predicts in this picture.
        boxes: number of true boxes in it.
    """
    chosen = call.result.get_extra_property('pos_idx')
    boxes_of_pairs = call.result.get_extra_property('pos_predicted_boxes').detach()[chosen]
    of_pairs = torch.arange(len(chosen), device=predicted.device)[chosen] % max(boxes, 1)
    return torch.cdist(boxes_of_pairs.float(), predicted, p=1).argmin(dim=1), of_pairs
