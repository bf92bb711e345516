"""How dense heads keep what they were trained towards."""

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from .base import Call, Calls, Point
from .dense import Assignment, DenseView, PositivePriors
from .maps import sizes_of
from .structures import Truth


class TargetsOfLevels(DenseView):
    """``get_targets`` returns a list of labels (N, m) a level; a sampler notes which true box each positive has."""

    #: The place of the labels among what ``get_targets`` returns; their weights follow.
    labels_at: int = 0

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """See :class:`~mmdet_kd.heads.HeadView`."""
        points = super().points(questions)
        if 'positives' in questions:
            points['sample'] = (self.head.sampler, 'sample')
        return points

    def assignment(self, calls: Calls) -> Assignment:
        """See :class:`~mmdet_kd.heads.DenseView`."""
        (call,) = calls['get_targets']
        labels, weights = call.result[self.labels_at : self.labels_at + 2]
        return Assignment(join_levels(labels), join_levels(weights))

    def positives(self, calls: Calls, truth: Truth) -> PositivePriors:
        """See :class:`~mmdet_kd.heads.DenseView`. A sampler keeps the order of the priors, as do the labels."""
        images, places = self._positive(self.assignment(calls).labels)
        return PositivePriors(images, places, sampled_truth(calls['sample'], truth, len(images)))

    def _arguments_again(self, calls: Calls) -> dict[str, Any]:
        """See :class:`~mmdet_kd.heads.DenseView`. Some heads join the levels of these lists in place."""
        (forward,), (targets,) = calls['forward'], calls['get_targets']
        scores = self.maps(forward.result, training=True).scores
        metas = targets.arguments['batch_img_metas']
        anchors, valid = self.head.get_anchors(sizes_of(scores), metas, device=scores[0].device)
        return dict(anchor_list=anchors, valid_flag_list=valid)


def join_levels(levels: Sequence[Tensor]) -> Tensor:
    """Lists (N, m) a level as (N, M)."""
    return torch.cat([level.reshape(len(level), -1) for level in levels], dim=1)


def sampled_truth(samples: Sequence[Call], truth: Truth, count: int) -> Tensor:
    """Which of the batch's true boxes the sampler of each picture noted for its positive priors.

    Args:
        samples: a call of the sampler for each picture.
        truth: the true boxes of the batch.
        count: of positive priors that are expected.
    """
    noted = [call.result.pos_assigned_gt_inds for call in samples]
    found = sum(map(len, noted))
    if len(noted) != len(truth.boxes) or found != count:
        raise RuntimeError(
            f'a dense head sampled {len(noted)} times for {len(truth.boxes)} pictures, with {found} positive priors, '
            f'where its labels have {count}'
        )
    return in_batch(noted, truth)


def nearest_truth(
    boxes: Tensor,
    labels: Tensor | None,
    images: Tensor,
    truth: Truth,
    as_trained: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Which of the batch's true boxes are these, which rounding may have moved.

    Args:
        boxes: (K, 4); what priors were trained towards.
        labels: (K,); their classes. None: of any class.
        images: (K,); their pictures.
        truth: the true boxes of the batch.
        as_trained: makes of the true boxes (K, G, 4) of each prior's picture what the head would train that prior
            towards, where it clips its targets.
    """
    known = torch.nn.utils.rnn.pad_sequence(truth.boxes, batch_first=True, padding_value=float('inf'))
    classes = torch.nn.utils.rnn.pad_sequence(truth.labels, batch_first=True, padding_value=-1)
    if known.shape[1] == 0:
        return images  # no true box in the batch, so none of these either
    candidates = known[images] if as_trained is None else as_trained(known[images])
    fits = classes[images] >= 0 if labels is None else classes[images] == labels[:, None]
    distances = (candidates - boxes.detach()[:, None]).abs().sum(dim=-1).masked_fill(~fits, float('inf'))
    counts = (classes >= 0).sum(dim=1)  # of the true boxes in each picture
    return distances.argmin(dim=1) + (counts.cumsum(0) - counts)[images]


def in_batch(places: Sequence[Tensor], truth: Truth) -> Tensor:
    """Indices of true boxes, counted within each picture, as indices among those of the whole batch.

    Args:
        places: of each picture (k,).
        truth: the true boxes of the batch.
    """
    before = itertools.accumulate((len(boxes) for boxes in truth.boxes), initial=0)
    return torch.cat([of_picture + start for of_picture, start in zip(places, before, strict=False)])


def by_picture(levels: Sequence[Tensor], images: int) -> Tensor:
    """Levels (N * m, ...), in each the pictures one after another, as (N, M, ...)."""
    return torch.cat([level.unflatten(0, (images, -1)) for level in levels], dim=1)
