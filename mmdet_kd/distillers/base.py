"""What every distiller is."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import raise_if_any
from ..knowledge import ClassifierKnowledge, Step, StudentKnowledge, TeacherKnowledge, epochs
from ..losses.compares import Compares, comparison_problems
from ..losses.precision import widen_arguments
from ..teachers import BaseTeacher, DetectorTeacher
from .shares import Claim
from .stop import Stop


class ComparedMaps(NamedTuple):
    """Which maps a distiller compares; for who describes it."""

    source: str  # 'backbone', 'neck' or 'dense.cls'
    levels: Sequence[tuple[int, int]]  # indices of the student's and of the teacher's level
    adapter: nn.Module | None  # of the student's maps, of the first level
    teacher_adapter: nn.Module | None = None


class BaseDistiller(nn.Module):
    """Compares one kind of knowledge of the two sides.

    A distiller is built with the :class:`~mmdet_kd.distillers.ModelPair` that it will compare. It raises a
    :class:`~mmdet_kd.errors.DistillationError` with everything about the pair that does not fit.

    Whatever its class, its config may have three keys more, which the detector reads: ``teacher``, and one of
    ``stop_epoch`` and ``num_last_epochs`` (:class:`~mmdet_kd.distillers.Stop`).

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
    #: When it stops; whoever builds it sets this. None: it teaches to the end.
    stop: Stop | None = None

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not isinstance(weight, (int, float)) or not 0 <= weight <= 1:
            raise_if_any([f'{type(self).__name__}: weight must lie in [0, 1], not {weight!r}'])
        self.weight = float(weight)
        #: What does not fit, gathered while it is built; whoever builds it refuses it for these.
        self.problems: list[str] = []

    def _build_loss(self, what: str, cfg: dict, given: Compares, call: Callable[[nn.Module], Tensor]) -> nn.Module:
        """Build one of the losses; every distiller builds each of its losses so.

        Under autocast too it is given single precision. Whatever forbids the loss is added to ``problems``: that it is
        for something else, or cannot be called so.

        Args:
            what: its name in the config.
            cfg: its config.
            given: what it will be given.
            call: calls it as ``forward`` will, on zeros.
        """
        loss = MODELS.build(cfg)
        loss.register_forward_pre_hook(widen_arguments, with_kwargs=True)
        problems = comparison_problems(type(self).__name__, what, loss, given)
        self.problems += problems or call_problems(what, lambda: call(loss))
        return loss

    @property
    def is_active(self) -> bool:
        """Whether any part of the loss counts at present; if not, neither side need be looked at."""
        return self.weight > 0 and not self.has_stopped

    @property
    def has_stopped(self) -> bool:
        """Whether it teaches no more in the epoch that the training is in. Outside of a training it has not stopped.

        The position alone decides, so a resumed run needs no state for it.
        """
        position = None if self.stop is None else epochs()
        return position is not None and position.epoch >= self.stop.first_epoch(position.of)

    @property
    def compared_maps(self) -> ComparedMaps | None:
        """The maps that it compares; None if it compares none, or does not say which."""
        return None

    @abstractmethod
    def forward(
        self, student: StudentKnowledge, teacher: TeacherKnowledge | ClassifierKnowledge, step: Step
    ) -> dict[str, Tensor]:
        """Compare the two sides.

        Args:
            student: what it computed in this step.
            teacher: what it can be asked about the same pictures.
            step: the truth, the pictures, and the place in the training.

        Returns:
            Part -> scalar loss; the training log shows it as ``<distiller>.loss_<part>``.
        """

    def idle(self, device: torch.device) -> dict[str, Tensor]:
        """The losses while it is not at work: zeros that keep the adapters in the graph, as DDP expects."""
        zero = torch.zeros((), device=device)
        for parameter in self.parameters():
            zero = zero + 0 * parameter.sum()
        return dict.fromkeys(self.parts, zero)

    @property
    def claim(self) -> Claim | None:
        """The part that it claims of one of the student's own losses at present; None if it only adds to them."""
        return None


def has_weight(loss: nn.Module | None) -> bool:
    """Whether a configured loss, or any of those of its levels, has a weight other than 0 at present."""
    if isinstance(loss, nn.ModuleList):
        return any(map(has_weight, loss))
    return loss is not None and getattr(loss, 'loss_weight', 1.0) != 0


def call_problems(what: str, call: Callable[[], Tensor]) -> list[str]:
    """What a loss, or an adapter and a loss, says to being called once, on zeros: later would be in the first step.

    Args:
        what: is called; for messages.
        call: calls it; what it returns should be a scalar.
    """
    try:
        shape = tuple(call().shape)
    except (AttributeError, IndexError, TypeError, ValueError, RuntimeError) as error:
        return [f'{what} cannot be used here: {error}']
    return [f'{what} cannot be used here: it returns a tensor of shape {shape}, not a scalar'] if shape else []
