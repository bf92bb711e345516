"""What a dense head says of each of its priors."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from ..losses.compares import Compares
from .base import Calls, HeadView, Point
from .reassign import targets_of_boxes
from .structures import Truth
from .towers import Towers, depths_of, find_towers, tower_point, tower_problem


class DenseMaps(NamedTuple):
    """Outputs of a dense head, a map a level, alike in training and in eval mode."""

    scores: list[Tensor]  # (N, A * K, H, W); logits of K = C sigmoids, or of a softmax over K = C + 1, background last
    regressed: list[Tensor]  # (N, A * R, H, W); what the view decodes
    quality: list[Tensor] | None = None  # (N, A, H, W); logits of a centerness, an IoU or an objectness


class Priors(NamedTuple):
    """The M priors of a picture, over all levels."""

    places: Tensor  # anchors (M, 4), xyxy, or points (M, 2); pixels
    strides: Tensor  # (M, 1), pixels


class Assignment(NamedTuple):
    """What each prior of each picture was trained towards.

    What a head's loss does to it afterwards is not in it: SSD leaves out easy negatives, and PISA changes the weights.
    """

    labels: Tensor  # (N, M); C on the background
    label_weights: Tensor  # (N, M)


class PositivePriors(NamedTuple):
    """The K pairs of a prior and the true box that is assigned to it, those of the first picture first."""

    images: Tensor  # (K,)
    places: Tensor  # (K,); indices of priors
    truth: Tensor  # (K,); indices of the true boxes of the whole batch


#: What few heads answer: the ``cannot`` of the others has it beside other questions.
NO_TOWERS: Mapping[str, str] = {
    'towers': 'its classes and its boxes do not each go through a plain tower of convolutions, level by level'
}
NO_CENTERNESS: Mapping[str, str] = {'centerness': 'its losses are not divided by one'}
#: Of a head whose priors are points: what its ``cannot`` has beside other questions.
ON_POINTS: Mapping[str, str] = {'anchors': 'its priors are points, which have no size'}


class DenseView(HeadView):
    """Of a head that scores a grid of priors.

    Shapes: N pictures, M priors of a picture over all levels, A priors a cell, C classes, K scores and R regressed
    numbers a prior.
    """

    questions: ClassVar[Mapping[str, str]] = {
        'scores': 'what class each prior has',
        'priors': 'where its priors are',
        'anchors': 'where its anchors are',
        'boxes': 'which box each prior has',
        'distributions': 'a distribution of where each side of a box is',
        'quality': 'how good each box is',
        'labels': 'which class each prior is trained towards',
        'positives': 'which true box each positive prior is trained towards',
        'assign': 'which priors it would train towards other boxes',
        'towers': 'what its maps are between the convolutions for the classes, and between those for the boxes',
        'centerness': 'the centerness by whose sum it divides the loss of the boxes',
    }
    cannot: ClassVar[Mapping[str, str]] = {
        **NO_TOWERS,
        **NO_CENTERNESS,
        'distributions': 'it regresses numbers',
        'quality': 'it has no branch for that',
    }

    #: Numbers that are regressed for a prior.
    box_channels: int = 4
    #: Whether class scores say which object is there if there is one, and the quality, an objectness, whether there is:
    #: then class scores mean nothing on the background.
    conditional: ClassVar[bool] = False

    def why_not(self, question: str) -> str | None:
        """See :class:`HeadView`."""
        reason = super().why_not(question)
        if reason is not None:
            return reason
        if question == 'centerness' and not hasattr(self.head, 'centerness_target'):
            return NO_CENTERNESS[question]
        return tower_problem(self.head) if question == 'towers' else None

    @property
    def num_classes(self) -> int:
        """C."""
        return self.head.num_classes

    @property
    def use_sigmoid(self) -> bool:
        """Whether scores are of sigmoids; otherwise of one softmax with the background last."""
        return bool(self.head.use_sigmoid_cls)

    @property
    def score_channels(self) -> int:
        """K."""
        return self.num_classes + (not self.use_sigmoid)

    @property
    def score_kind(self) -> Compares:
        """What the scores are, in the words of the losses that compare them."""
        return 'sigmoid scores' if self.use_sigmoid else 'softmax scores'

    @property
    def coder(self) -> Any:
        """The box coder whose deltas of a prior are what is regressed; None where other numbers are."""
        return None

    @property
    def prior_generator(self) -> Any:
        """What makes its priors."""
        return self.head.prior_generator

    @property
    def strides(self) -> list[tuple[int, int]]:
        """Of each level, in x and y."""
        return [tuple(stride) for stride in self.prior_generator.strides]

    def maps(self, raw: Any, training: bool) -> DenseMaps:
        """What ``forward`` returned, in one form for both modes.

        Args:
            raw: what it returned.
            training: whether the head was in training mode.
        """
        del training
        return DenseMaps(list(raw[0]), list(raw[1]), list(raw[2]) if len(raw) > 2 else None)

    def priors(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> Priors:
        """The priors of maps of these heights and widths."""
        levels = self._level_priors(sizes, device)
        strides = [
            level.new_full((len(level), 1), stride[0]) for level, stride in zip(levels, self.strides, strict=True)
        ]
        return Priors(torch.cat(levels), torch.cat(strides))

    def anchors(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> list[Tensor]:
        """The anchors (m, 4) of each level, xyxy, pixels, for maps of these heights and widths."""
        return self._level_priors(sizes, device)

    @property
    def score_map_channels(self) -> list[int]:
        """A * K of each level."""
        one_cell = self._level_priors([(1, 1)] * len(self.strides), torch.device('cpu'))
        return [len(level) * self.score_channels for level in one_cell]

    def _level_priors(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> list[Tensor]:
        return [get_box_tensor(level) for level in self.prior_generator.grid_priors(sizes, device=device)]

    @abstractmethod
    def decode(self, regressed: Tensor, priors: Priors) -> Tensor:
        """Boxes (K, 4), xyxy, pixels, with a gradient towards what was regressed.

        Args:
            regressed: (K, R), rows of the maps.
            priors: of these rows.
        """

    def distributions(self, regressed: Tensor) -> Tensor:
        """Logits (K, 4, bins) of the distances of left, top, right and bottom, from what was regressed (K, R)."""
        raise NotImplementedError

    @property
    def towers(self) -> Towers:
        """The convolutions through which only its classes, and only its boxes, go."""
        return find_towers(self.head)

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`HeadView`."""
        points: dict[str, Point] = {'forward': (self.head, 'forward')}
        if {'labels', 'positives', 'assign'} & set(questions):
            points['get_targets'] = (self.head, 'get_targets')
        if 'centerness' in questions:
            points['centerness_target'] = (self.head, 'centerness_target')
        return points | self.tower_points(depths_of(questions))

    def tower_points(self, depths: Collection[int]) -> dict[str, Point]:
        """What has to be recorded for the maps of the towers after so many convolutions, 'towers.<depth>.<tower>'."""
        return {
            f'towers.{depth}.{name}': tower_point(getattr(self.towers, name), depth)
            for depth in depths
            for name in Towers._fields
        }

    def centerness_sum(self, calls: Calls) -> Tensor:
        """The sum of the centerness that the positive priors of the recorded step were trained towards; constant."""
        found = [call.result.detach().sum() for call in calls['centerness_target']]  # ATSS asks where there are some
        return sum(found, start=calls['forward'][0].result[0][0].new_zeros(()))

    @abstractmethod
    def assignment(self, calls: Calls) -> Assignment:
        """What the head was trained towards in the recorded step."""

    @abstractmethod
    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """The positive priors of the recorded step.

        Args:
            calls: of the points of ``points(('positives',))``.
            truth: the true boxes of the batch.
        """

    def assign(self, calls: Calls, boxes: Sequence[Tensor]) -> Tensor:
        """Which priors (N, M) the head would train towards other boxes than the true ones, by its own rule.

        Its ``get_targets`` is called once more. True boxes that are to be ignored do not count.

        Args:
            calls: of the points of ``points(('assign',))``.
            boxes: of each picture (k, 4), xyxy, pixels. They have no class.

        Returns:
            True on the priors of a box; False on the background, and on what the head's assigner leaves out.
        """
        (call,) = calls['get_targets']
        again = targets_of_boxes(self.head, call, boxes, **self._arguments_again(calls))
        return self.is_positive(self.assignment({**calls, 'get_targets': [again]}).labels)

    def _arguments_again(self, calls: Calls) -> dict[str, Any]:
        """The arguments of ``get_targets`` which the head changed when it was called, as they were before."""
        del calls
        return {}

    def is_positive(self, labels: Tensor) -> Tensor:
        """Which labels are those of a class, and not of the background or of what is left out; bool."""
        return (labels >= 0) & (labels < self.num_classes)

    def _positive(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures and places of the priors (N, M) whose label is a class; counted on the host, as heads do."""
        return torch.nonzero(self.is_positive(labels), as_tuple=True)


def same_places(first: DenseView, second: DenseView) -> bool:
    """Whether two heads have the same priors: the same anchors, or one point a cell at the same places.

    Their priors are compared as numbers, on small maps.
    """
    if first.strides != second.strides:
        return False
    sizes = [(2, 3)] * len(first.strides)
    ours, theirs = (view.priors(sizes, torch.device('cpu')).places for view in (first, second))
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-2)


def head_of(detector: nn.Module) -> nn.Module | None:
    """The head of a detector without a RoI head, be it of boxes, of masks or panoptic; None of another detector."""
    if hasattr(detector, 'roi_head'):
        return None
    heads = (getattr(detector, name, None) for name in ('bbox_head', 'panoptic_head', 'mask_head'))
    return next((head for head in heads if head is not None), None)
