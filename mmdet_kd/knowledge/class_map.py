"""The classes of a detector's heads: how many they know, and their scores for another list of classes."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..heads import RoIOutputs, box_heads, head_of


def head_classes(model: nn.Module) -> dict[str, int]:
    """How many classes of the data each head of a model stands for, the background not counted.

    The data of a panoptic detector name things and stuff, so its fusion head is asked, which knows the number of both.

    Args:
        model: a detector, or a classifier of crops.

    Returns:
        Name of the module -> number of classes: of the fusion head of a panoptic detector; otherwise as
        :func:`scored_classes`.
    """
    fusion_head = getattr(model, 'panoptic_fusion_head', None)
    return scored_classes(model) if fusion_head is None else {'panoptic_fusion_head': fusion_head.num_classes}


def scored_classes(model: nn.Module) -> dict[str, int]:
    """How many classes each head of a model scores, the background not counted; the RoI heads of Panoptic FPN: things.

    Args:
        model: a detector, or a classifier of crops.

    Returns:
        Name of the module -> number of classes: of each stage of a cascade, of the head of another detector (of boxes,
        of masks, or panoptic), or of the classifier. Empty for a model without such a head.
    """
    if getattr(model, 'roi_head', None) is not None:
        heads = box_heads(model.roi_head)
    else:
        head = head_of(model)
        heads = [model if head is None else head]
    names = {module: name or type(module).__name__ for name, module in model.named_modules()}
    return {names[head]: head.num_classes for head in heads if hasattr(head, 'num_classes')}


def head_class_problems(whose: str, names: Sequence[str], heads: Mapping[str, int], cure: str) -> list[str]:
    """What forbids that given names are those of the labels of heads: that one knows another number of classes.

    Args:
        whose: names they are; for the message.
        names: of the classes.
        heads: what :func:`head_classes` returns.
        cure: for the message.
    """
    others = [f'{head} knows {count}' for head, count in heads.items() if count != len(names)]
    return [f'{whose} {len(names)} classes ({", ".join(names)}), but {", ".join(others)}: {cure}'] if others else []


class ClassMap(nn.Module):
    """Puts the classes of a head into another order, and takes those that are left out for background.

    For who does not know a class, its objects are background: their share of the softmax goes there, so the scores of
    the others mean what they did.

    Args:
        indices: for each wanted class, its index in the head.
        num_classes: of the head, the background not counted.
    """

    def __init__(self, indices: Sequence[int], num_classes: int) -> None:
        super().__init__()
        others = [index for index in range(num_classes) if index not in set(indices)]
        self.num_classes = num_classes
        self.register_buffer('_wanted', torch.tensor(indices), persistent=False)
        self.register_buffer('_background', torch.tensor([*others, num_classes]), persistent=False)

    def forward(self, outputs: RoIOutputs) -> RoIOutputs:
        """Outputs of a head with C classes -> as if of one with the wanted K.

        Scores (n, C + 1) become (n, K + 1); sigmoid scores (n, C), which know no background, (n, K). Deltas (n, C * 4)
        become (n, K * 4); class-agnostic ones stay. What the head does not give stays None.
        """
        scores, deltas = outputs
        return RoIOutputs(
            None if scores is None else self.map_scores(scores), None if deltas is None else self._map_deltas(deltas)
        )

    def own(self, labels: Tensor) -> Tensor:
        """The head's own labels of given ones (n,) of the wanted classes."""
        return self._wanted[labels]

    def map_scores(self, scores: Tensor) -> Tensor:
        """Scores (..., C + 1), or (..., C) of sigmoids, of the wanted classes: (..., K + 1), or (..., K).

        They keep their gradient: a head of the teacher's may have been run on maps of the student (CrossKD).
        """
        wanted = scores[..., self._wanted]
        if scores.shape[-1] == self.num_classes:
            return wanted
        background = scores[..., self._background].float().logsumexp(dim=-1, keepdim=True)
        return torch.cat([wanted, background.to(scores.dtype)], dim=-1)

    def _map_deltas(self, deltas: Tensor) -> Tensor:
        if deltas.shape[1] == 4:
            return deltas
        return deltas.view(len(deltas), self.num_classes, 4)[:, self._wanted].flatten(1)
