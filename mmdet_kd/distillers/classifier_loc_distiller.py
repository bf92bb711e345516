"""A classifier teaches a head where boxes end."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..backbones import picture_channels
from ..classifiers import PIXELS, EarlyLayer
from ..errors import raise_if_any
from ..knowledge import ClassifierKnowledge, Step, StudentKnowledge
from ..teachers import ClassifierTeacher
from .base import BaseDistiller, has_weight
from .pair import ModelPair
from .positives import positives_of
from .response import mean_over_ranks


@MODELS.register_module()
class ClassifierLocDistiller(BaseDistiller):
    r"""Has a classifier's early layers see the same in a predicted box as in the true one.

    .. math:: L_{kd-loc} = \lambda_{kl} \frac{1}{K} \sum_k \sum_l w_l
        \frac{\| AP(F_l(\text{crop}_{pred})) - AP(F_l(\text{crop}_{gt})) \|_1}{M_l H_l W_l}

    over the K positive RoIs or priors. The gradient runs through the frozen layers and the cropping to the predicted
    box, and from there into the regression of the student's head alone. Where there are more positives than the
    teacher's chunk, what its layers make of each chunk is forgotten and made again on the way back, so that memory
    grows with the chunk.

    Args:
        pair: the two sides; the detector fills it in.
        layers: ``dict(name=..., size=..., weight=1.0)`` each: the name of a layer of the classifier, or 'pixels'; the
            H = W to which its map is averaged; and w, which is not in the paper. Pixels that are divided by a std give
            a term that much smaller than the paper's, whose std is 1.
        loss_loc: config of a loss that is called with (map, map, avg_factor); L1Loss, with lambda as its
            ``loss_weight``, is the paper's.
        weight: see :class:`BaseDistiller`.

    Raises:
        DistillationError: the head has no positives that are known, or the classifier no such layer.

    Source: Guo, Alvarez and Salzmann, NeurIPS 2021 (DICOD), section 3.2.
    """

    learns_from = ClassifierTeacher
    parts = ('loc',)

    def __init__(self, pair: ModelPair, layers: Sequence[dict], loss_loc: dict, weight: float = 1.0) -> None:
        super().__init__(weight)
        self._positives = positives_of(pair.student, type(self).__name__, boxes=True)
        raise_if_any(self._positives.problems)
        self.kinds = self._positives.kinds
        maps = torch.zeros(1, 2, 3, 3)
        self.loss_loc = self._build_loss('loss_loc', loss_loc, 'maps', lambda loss: loss(maps, maps, avg_factor=1.0))
        self._weights, problems = _read_layers(layers, pair)
        raise_if_any(self.problems + problems)

    @property
    def is_active(self) -> bool:
        """Whether the loss counts at present."""
        return super().is_active and has_weight(self.loss_loc)

    def forward(self, student: StudentKnowledge, teacher: ClassifierKnowledge, step: Step) -> dict[str, Tensor]:
        """Compare the boxes of this step; returns 'loc', of a cascade summed."""
        losses = []
        for positives in self._positives(student, step.truth):
            avg_factor = mean_over_ranks(len(positives.boxes), positives.boxes.device)
            loss = positives.boxes[:0].sum()  # attached also where there is nothing to compare
            chunks = teacher.chunks(positives.counts)
            compare = self._distance if len(chunks) == 1 else self._forgetful_distance
            for rows, within in chunks:
                loss = loss + compare(teacher, positives.boxes[rows], within, positives.truth[rows], avg_factor)
            losses.append(positives.weight * loss)
        return {'loc': sum(losses)}

    def _distance(
        self, teacher: ClassifierKnowledge, boxes: Tensor, within: list[int], truth: Tensor, avg_factor: Tensor
    ) -> Tensor:
        """A chunk's share of the loss."""
        layers = list(self._weights)
        found = teacher.maps(boxes, within, layers)
        wanted = [of_layer[truth] for of_layer in teacher.truth_maps(layers)]
        terms = [
            weight * self.loss_loc(ours, theirs, avg_factor=avg_factor * ours[0].numel())
            for weight, ours, theirs in zip(self._weights.values(), found, wanted, strict=True)
        ]
        return sum(terms)

    def _forgetful_distance(self, *chunk: Any) -> Tensor:
        """The same, whose maps are not kept for the way back, but made again."""
        return checkpoint(self._distance, *chunk, use_reentrant=False, preserve_rng_state=False)  # nothing is random


def _read_layers(layers: Any, pair: ModelPair) -> tuple[dict[EarlyLayer, float], list[str]]:
    """EarlyLayer -> weight, and what is wrong with them; every layer is tried on the classifier's shape."""
    asked = 'ClassifierLocDistiller: layers is a list of dict(name=..., size=..., weight=1.0), a layer each'
    if not isinstance(layers, Sequence) or not layers or not all(isinstance(each, Mapping) for each in layers):
        return {}, [f'{asked}, not {layers!r}']
    read, problems = {}, []
    classifier = pair.teacher.detector.eval()
    device = next(classifier.parameters()).device
    channels = picture_channels(classifier.backbone)
    crops = torch.zeros(1, channels, classifier.crop_size, classifier.crop_size, device=device)
    for each in layers:
        if not {'name', 'size'} <= set(each) <= {'name', 'size', 'weight'}:
            problems.append(f'{asked}, not {dict(each)!r}')
            continue
        layer = EarlyLayer(each['name'], each['size'])
        read[layer] = float(each.get('weight', 1.0))
        try:
            with torch.no_grad():
                classifier.early_maps(crops, [layer])
        except (AttributeError, TypeError, ValueError) as error:
            named = [f'backbone.{name}' for name, _ in classifier.backbone.named_children()]
            problems.append(
                f'ClassifierLocDistiller: layer {layer.name!r} of size {layer.size!r} cannot be had ({error}); there '
                f'are {PIXELS}, {", ".join(named)}'
            )
    return read, problems
