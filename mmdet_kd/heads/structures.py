"""What a detector can be asked for.

Shapes: N images, n RoIs of the whole batch, C classes, A anchors a cell, M anchors an image over all levels.
Boxes are xyxy in pixels of the batch that the detector sees.
"""

from typing import NamedTuple

from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor


class Truth(NamedTuple):
    """What is in the pictures of a batch: G boxes in all."""

    boxes: list[Tensor]  # of each picture (k, 4)
    labels: list[Tensor]  # of each picture (k,)

    @classmethod
    def of(cls, data_samples: SampleList) -> 'Truth':
        """What the samples of a batch say."""
        instances = [sample.gt_instances for sample in data_samples]
        return cls([get_box_tensor(each.bboxes) for each in instances], [each.labels for each in instances])


class RPNOutputs(NamedTuple):
    """Raw outputs of an RPN head, a map a level."""

    cls_scores: list[Tensor]  # (N, A * K, H, W); K = 1 sigmoid objectness, or 2 softmax scores, foreground first
    bbox_preds: list[Tensor]  # (N, A * 4, H, W)


class RPNTargets(NamedTuple):
    """What the student's RPN head was trained towards in this step."""

    anchors: Tensor  # (M, 4), shared by the images
    label_weights: Tensor  # (N, M); > 0 on the sampled anchors
    bbox_targets: Tensor  # (N, M, 4); deltas, or boxes where the head regresses decoded boxes
    bbox_weights: Tensor  # (N, M, 4); > 0 on the positive anchors
    avg_factor: float  # number of sampled anchors


class RoIOutputs(NamedTuple):
    """Raw outputs of one stage of a RoI head."""

    cls_score: (
        Tensor | None
    )  # (n, C + 1), background last, or (n, C) of sigmoids; None where the head has no such scores
    bbox_pred: Tensor | None  # (n, 4), or (n, C * 4) where it is class-specific; None where the head has no deltas


class RoITargets(NamedTuple):
    """The RoIs that one stage of the student's RoI head was trained on in this step, and their targets."""

    rois: Tensor  # (n, 5): index of the image, box
    labels: Tensor  # (n,); C on the background
    label_weights: Tensor  # (n,)
    bbox_targets: Tensor | None  # (n, 4); deltas, or boxes where the head regresses decoded boxes; None without deltas
    bbox_weights: Tensor | None  # (n, 4); > 0 on the positive RoIs
