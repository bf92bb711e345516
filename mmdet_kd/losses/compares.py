"""What a loss compares, and the check that it is given just that."""

from typing import Literal, get_args

from mmdet.models.losses import (
    CIoULoss,
    DIoULoss,
    EIoULoss,
    GIoULoss,
    IoULoss,
    KnowledgeDistillationKLDivLoss,
    L1Loss,
    MSELoss,
    SIoULoss,
    SmoothL1Loss,
)
from torch import nn

#: What a loss class may say in its attribute ``compares``:
#:
#: * ``maps``: two tensors of one shape, entry by entry.
#: * ``softmax scores``: logits (n, C) of one softmax over all classes; a background is the last of them.
#: * ``sigmoid scores``: logits (n, C) of one sigmoid a class.
#: * ``boxes``: deltas (n, 4) of the student and of the teacher, with the targets of both.
#: * ``decoded boxes``: boxes (n, 4) of both, xyxy, pixels.
Compares = Literal['maps', 'softmax scores', 'sigmoid scores', 'boxes', 'decoded boxes']

#: Losses of mmdet, which have no such attribute. A subclass of one may compute anything, so it is not meant.
OF_MMDET: dict[type[nn.Module], Compares] = {
    L1Loss: 'maps',
    MSELoss: 'maps',
    SmoothL1Loss: 'maps',
    KnowledgeDistillationKLDivLoss: 'softmax scores',
    IoULoss: 'decoded boxes',
    GIoULoss: 'decoded boxes',
    DIoULoss: 'decoded boxes',
    CIoULoss: 'decoded boxes',
    EIoULoss: 'decoded boxes',
    SIoULoss: 'decoded boxes',
}

_FITTING: dict[Compares, str] = {
    'maps': 'HintLoss (in a FeatureDistiller), L1Loss or MSELoss',
    'softmax scores': 'SoftenedKLLoss, DISTLoss or ClassWeightedSoftCrossEntropyLoss',
    'sigmoid scores': 'SoftenedBCELoss, or SoftenedKLLoss or DISTLoss with use_sigmoid=True',
    'boxes': 'TeacherBoundedL2Loss',
    'decoded boxes': 'GIoULoss or IoULoss',
}


def compared_by(loss: nn.Module) -> str | None:
    """What a loss compares, as its class says or as :data:`OF_MMDET` knows; None where neither does."""
    return getattr(loss, 'compares', OF_MMDET.get(type(loss)))


def comparison_problems(who: str, what: str, loss: nn.Module, given: Compares) -> list[str]:
    """What forbids giving a loss what it will be given: that it is for something else, or is not known.

    Args:
        who: the distiller; for messages.
        what: name of the loss in the distiller's config; for messages.
        loss: the loss.
        given: what it will be given.
    """
    found, kind = compared_by(loss), type(loss).__name__
    if found == given:
        return []
    here = f'{who}: {what} is given {given}'
    if found is None:
        return [
            f"{here}, and what {kind} compares is not known: if it is those, set compares = '{given}' in its class, or "
            f'in a subclass of your own; otherwise take {_FITTING[given]}'
        ]
    if found not in get_args(Compares):
        return [f'{here}; {kind}.compares must be one of {", ".join(map(repr, get_args(Compares)))}, not {found!r}']
    cure = f'take {_FITTING[given]}'
    if given.endswith('scores') and found.endswith('scores') and hasattr(loss, 'use_sigmoid'):
        cure = f'set {what}.use_sigmoid={given == "sigmoid scores"}, or {cure}'
    return [f'{here}, and {kind} compares {found}: {cure}']
