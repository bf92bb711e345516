"""The towers of a dense head: the convolutions that only its classes, and only its boxes, go through."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from mmcv.cnn import ConvModule
from torch import Tensor, nn

from .base import InPlace

_QUESTION = 'towers.'


class Towers(NamedTuple):
    """Of each tower its convolutions, in the order in which the maps of a level go through them."""

    cls: Sequence[nn.Module]
    bbox: Sequence[nn.Module]

    def channels(self, depth: int) -> tuple[int, int]:
        """Of the maps of both towers after so many convolutions."""
        return self.cls[depth - 1].out_channels, self.bbox[depth - 1].out_channels


class TowerMaps(NamedTuple):
    """Maps (N, C, H, W) within both towers, a level each, before the activation."""

    cls: list[Tensor]
    bbox: list[Tensor]


def find_towers(head: nn.Module) -> Towers:
    """The towers of a head that has them.

    Source: ``forward_single`` of ``GFLHead``, ``RetinaHead``, ``ATSSHead`` and ``AnchorFreeHead`` of mmdet.
    """
    return Towers(head.cls_convs, head.reg_convs)


def tower_problem(head: nn.Module) -> str | None:
    """Why the maps between these convolutions are not known; None where they are."""
    if not (hasattr(head, 'cls_convs') and hasattr(head, 'reg_convs')):
        return 'it has no cls_convs and reg_convs'
    for convs in find_towers(head):
        if len(convs) == 0:
            return 'it has no convolutions before the last ones (stacked_convs=0)'
        if not all(isinstance(conv, ConvModule) and conv.with_activation for conv in convs):
            return 'its towers hold other layers than convolutions with an activation'
        if any(conv.order[-1] != 'act' for conv in convs):
            return 'its towers do not end a convolution with the activation'
    return None


def tower_point(tower: Sequence[nn.Module], depth: int) -> InPlace:
    """Where a tower's maps after ``depth`` convolutions are had, as an activation, which may be in place, gets them."""
    return InPlace(tower[depth - 1].activate, 'forward')


def towers_question(depth: int) -> str:
    """What is asked of a step where the maps after ``depth`` convolutions are wanted."""
    return f'{_QUESTION}{depth}'


def depths_of(questions: Collection[str]) -> list[int]:
    """The depths that these questions ask for, in order."""
    return sorted(int(each.removeprefix(_QUESTION)) for each in questions if each.startswith(_QUESTION))
