"""What every distiller is."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import raise_if_any
from ..knowledge import ClassifierKnowledge, StudentKnowledge, TeacherKnowledge
from ..teachers import BaseTeacher, DetectorTeacher


class BaseDistiller(nn.Module):
    """Compares one kind of knowledge of the two sides.

    A distiller is built with the :class:`~mmdet_kd.distillers.ModelPair` that it will compare. It raises a
    :class:`~mmdet_kd.errors.DistillationError` with everything about the pair that does not fit.

    Args:
        weight: share of the distillation that is at work, in [0, 1]. At 1 it is whole; at 0 the student trains as
            it would alone, and the teacher is not asked. A hook may move it during training.
    """

    #: Kinds of the student's knowledge (:data:`mmdet_kd.knowledge.KINDS`) that must be recorded for it.
    kinds: tuple[str, ...] = ()
    #: Whether the classes of both sides must be the same, in the same order.
    compares_classes: bool = False
    #: The sort of teacher that it can learn from.
    learns_from: type[BaseTeacher] = DetectorTeacher
    #: The parts of the loss that ``forward`` returns.
    parts: tuple[str, ...] = ()

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not isinstance(weight, (int, float)) or not 0 <= weight <= 1:
            raise_if_any([f'{type(self).__name__}: weight must lie in [0, 1], not {weight!r}'])
        self.weight = float(weight)

    @property
    def is_active(self) -> bool:
        """Whether any part of the loss counts at present; if not, neither side need be looked at."""
        return self.weight > 0

    @abstractmethod
    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge | ClassifierKnowledge) -> dict[str, Tensor]:
        """Compare the two sides.

        Returns:
            Part -> scalar loss; the training log shows it as ``<distiller>.loss_<part>``.
        """

    def idle(self, device: torch.device) -> dict[str, Tensor]:
        """The losses while it is not at work: zeros that keep the adapters in the graph, as DDP expects."""
        zero = torch.zeros((), device=device)
        for parameter in self.parameters():
            zero = zero + 0 * parameter.sum()
        return dict.fromkeys(self.parts, zero)

    def hard_loss_weight(self, name: str) -> float:
        """The factor on one of the student's own losses while this distiller is at work.

        Args:
            name: the loss as the student's ``loss()`` names it, e.g. ``loss_cls`` or ``s0.loss_cls``.
        """
        del name
        return 1.0


def has_weight(loss: nn.Module | None) -> bool:
    """Whether a configured loss has a weight other than 0 at present."""
    return loss is not None and getattr(loss, 'loss_weight', 1.0) != 0


def try_out(what: str, call: Callable[[], object]) -> None:
    """Call a loss or an adapter once, on zeros, when a distiller is built: later would be in the first step.

    Raises:
        DistillationError: it cannot be called so; the message names it.
    """
    try:
        call()
    except (TypeError, ValueError, RuntimeError) as error:
        raise_if_any([f'{what} cannot be used here: {error}'])


def loss_kind_problems(who: str, loss: nn.Module, use_sigmoid: bool) -> list[str]:
    """What forbids comparing the scores of a head by a loss: that it is for the other kind of scores.

    Args:
        who: compares; for messages.
        loss: on class scores; its ``use_sigmoid``, if it has one, says which kind it is for.
        use_sigmoid: whether the head scores by sigmoids.
    """
    made_for = getattr(loss, 'use_sigmoid', None)
    if made_for is None or bool(made_for) == bool(use_sigmoid):
        return []
    return [
        f'{who}: {type(loss).__name__} is for a {kind_of_scores(made_for)}, and the student scores by a '
        f'{kind_of_scores(use_sigmoid)}: set loss_cls.use_sigmoid={bool(use_sigmoid)}, or take another loss'
    ]


def kind_of_scores(use_sigmoid: bool) -> str:
    """What scores are called, for messages."""
    return 'sigmoid' if use_sigmoid else 'softmax'
