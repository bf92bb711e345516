"""What every distiller is."""

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from ..errors import raise_if_any
from ..knowledge import StudentKnowledge, TeacherKnowledge


class BaseDistiller(nn.Module):
    """Compares one kind of knowledge of the two sides.

    A distiller is built with the :class:`~mmdet_kd.distillers.Pair` that it will compare. It raises a
    :class:`~mmdet_kd.errors.DistillationError` with everything about the pair that does not fit.
    """

    #: Kinds of the student's knowledge (:data:`mmdet_kd.knowledge.KINDS`) that must be recorded for it.
    kinds: tuple[str, ...] = ()
    #: Whether the classes of both sides must be the same, in the same order.
    compares_classes: bool = False

    @abstractmethod
    def forward(self, student: StudentKnowledge, teacher: TeacherKnowledge) -> dict[str, Tensor]:
        """Compare the two sides.

        Returns:
            Part -> scalar loss; the training log shows it as ``<distiller>.loss_<part>``.
        """

    def hard_loss_weight(self, name: str) -> float:
        """The factor on one of the student's own losses while this distiller is at work.

        Args:
            name: the loss as the student's ``loss()`` names it, e.g. ``loss_cls`` or ``s0.loss_cls``.
        """
        del name
        return 1.0


def try_out(what: str, call: Callable[[], object]) -> None:
    """Call a loss or an adapter once, on zeros, when a distiller is built: later would be in the first step.

    Raises:
        DistillationError: it cannot be called so; the message names it.
    """
    try:
        call()
    except (TypeError, ValueError, RuntimeError) as error:
        raise_if_any([f'{what} cannot be used here: {error}'])
