"""What a classifier knows of the boxes in a batch."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from ..classifiers import EarlyLayer
from ..heads.structures import Truth


class ClassifierKnowledge:
    """What a frozen classifier makes of boxes of one batch. What is asked of the truth is computed once.

    Args:
        classifier: a :class:`~mmdet_kd.classifiers.CropClassifier` in eval mode.
        images: the student's normalised batch (N, 3, H, W).
        truth: the boxes that the student learns.
        chunk: so many crops at most are looked at at a time.
    """

    def __init__(self, classifier: nn.Module, images: Tensor, truth: Truth, chunk: int) -> None:
        self._classifier = classifier
        self._images = images
        self._truth_maps: dict[tuple[EarlyLayer, ...], list[Tensor]] = {}
        self.truth = truth
        self.chunk = chunk
        self.canvas: tuple[int, int] = tuple(images.shape[-2:])
        self.ratios = None  # it sees what the student sees

    @cached_property
    def logits(self) -> Tensor:
        """The class scores (G, C) of the true boxes, without background, those of the first picture first."""
        with torch.no_grad():
            parts = [self._classifier.logits_of(self._crop(*part)) for part in self._chunks_of_truth()]
            return torch.cat(parts) if parts else self._images.new_zeros(0, self._classifier.num_classes)

    def maps(self, boxes: Tensor, counts: Sequence[int], layers: Sequence[EarlyLayer]) -> list[Tensor]:
        """What early layers make of boxes, with a gradient towards these.

        Args:
            boxes: (K, 4), xyxy, pixels, those of the first picture first; all are looked at at once.
            counts: how many of them lie in each picture.
            layers: that are asked.

        Returns:
            Of each layer (K, M, size, size).
        """
        return self._classifier.early_maps(self._crop(boxes, counts), layers)

    def truth_maps(self, layers: Sequence[EarlyLayer]) -> list[Tensor]:
        """What early layers make of the true boxes: of each (G, M, size, size), without a graph."""
        layers = tuple(layers)
        if layers not in self._truth_maps:
            with torch.no_grad():
                parts = [self.maps(*part, layers) for part in self._chunks_of_truth()]
            self._truth_maps[layers] = [torch.cat(of_layer) for of_layer in zip(*parts, strict=True)]
        return self._truth_maps[layers]

    def chunks(self, counts: Sequence[int]) -> list[tuple[slice, list[int]]]:
        """Cut rows that lie picture after picture into chunks: each one's rows, and how many of each picture."""
        total, cuts = sum(counts), []
        for start in range(0, total, self.chunk):
            stop, first, within = min(start + self.chunk, total), 0, []
            for count in counts:
                within.append(max(0, min(stop, first + count) - max(start, first)))
                first += count
            cuts.append((slice(start, stop), within))
        return cuts

    def _chunks_of_truth(self) -> list[tuple[Tensor, list[int]]]:
        boxes = torch.cat(self.truth.boxes)
        return [(boxes[rows], counts) for rows, counts in self.chunks([len(each) for each in self.truth.boxes])]

    def _crop(self, boxes: Tensor, counts: Sequence[int]) -> Tensor:
        """Crops of boxes, from those pictures alone that have some."""
        full = [place for place, count in enumerate(counts) if count]
        pictures = slice(full[0], full[-1] + 1)
        return self._classifier.crop(self._images[pictures], boxes.split(list(counts[pictures])))
