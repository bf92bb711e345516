"""What a head of mmdet says: the base of all views, and the registry from head class to view."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from torch import nn


class InPlace(NamedTuple):
    """A method that may write over its arguments, which are therefore copied before it does."""

    owner: Any
    method: str


#: A method that is recorded while the student's own ``loss()`` runs: the object that has it, and its name.
Point = tuple[Any, str] | InPlace


class Call(NamedTuple):
    """One recorded call: its arguments by name, and what it returned."""

    arguments: dict[str, Any]
    result: Any


#: Name of a point -> its recorded calls, in order.
Calls = Mapping[str, list[Call]]


class HeadView:
    """What one head says. It is the same for a student's head and a teacher's.

    Each question of ``questions`` is answered by a method or an attribute of that view, or the view has a reason why
    it is not. A distiller asks whether its questions are answered when it is built.

    Args:
        head: the head that is looked at. Its weights are not needed; it may lie on the meta device.
    """

    #: What may be asked of a head of this sort: question -> what it is about, for messages.
    questions: ClassVar[Mapping[str, str]] = {}
    #: Why heads of this class leave a question without an answer.
    cannot: ClassVar[Mapping[str, str]] = {}
    #: What decides what a head says. A subclass that overrides one of these methods is another head.
    decisive: ClassVar[tuple[str, ...]] = (
        'forward',
        'forward_single',
        'loss',
        'loss_by_feat',
        'loss_by_feat_single',
        'get_anchors',
        'get_targets',
        '_get_targets_single',
        'predict_by_feat',
        '_predict_by_feat_single',
    )
    #: Further methods on which the view of this class relies.
    relies_on: ClassVar[tuple[str, ...]] = ()

    def __init__(self, head: nn.Module | None) -> None:
        self.head = head
        self.name = type(head).__name__  # for messages
        self._why_not = dict(self.cannot)

    def why_not(self, question: str) -> str | None:
        """Why a question has no answer; None where it has one."""
        return self._why_not.get(question)

    def problems(
        self,
        questions: Collection[str],
        who: str,
        whose: str,
        cure: str = 'Leave this distiller out, or take another head',
    ) -> list[str]:
        """What forbids asking these questions; questions without an answer for the same reason are one problem.

        Args:
            questions: that will be asked.
            who: asks; for messages.
            whose: the head is, 'student' or 'teacher'; for messages.
            cure: for messages.
        """
        refused: dict[str, list[str]] = {}
        for question in questions:
            reason = self.why_not(question)
            if reason is not None:
                refused.setdefault(reason, []).append(self.questions[question])
        of_head = whose if self.head is None else f"{whose}'s {self.name}"
        return [
            f'{who}: the {of_head} does not say {_any_of(asked)}: {reason}. {cure}' for reason, asked in refused.items()
        ]

    def points(self, questions: Collection[str]) -> dict[str, Point]:
        """What has to be recorded of a step for these questions to be answered."""
        del questions
        return {}


_View = TypeVar('_View', bound=type[HeadView])
_VIEWS: dict[type[nn.Module], type[HeadView]] = {}


def register_view(*heads: type[nn.Module]) -> Callable[[_View], _View]:
    """Say of which head classes a class of views is.

    A subclass of such a head is looked at in the same way, unless it overrides a method that decides what a head says.

    Args:
        heads: classes of heads.
    """

    def register(view: _View) -> _View:
        for head in heads:
            _VIEWS[head] = view
        return view

    return register


def find_view(head: nn.Module | None, sort: type[HeadView]) -> HeadView:
    """The view of a head.

    Args:
        head: any module; None of a detector that has no such head.
        sort: the sort of view that is wanted, such as :class:`DenseView`.

    Returns:
        A view of that sort. Of a head that is not known it answers nothing, and has the reason.
    """
    for base in type(head).__mro__:
        view = _VIEWS.get(base)
        if view is None or not issubclass(view, sort):
            continue
        reason = overridden(type(head), base, (*view.decisive, *view.relies_on))
        return view(head) if reason is None else _Unknown(sort, head, reason)
    unknown = 'no view of its class is registered (mmdet_kd.heads.register_view)'
    return _Unknown(sort, head, 'it has no such head' if head is None else unknown)


def overridden(head: type[nn.Module], base: type[nn.Module], methods: Collection[str]) -> str | None:
    """Which of these methods of its base a class of heads has of its own, in words; None where it has none."""
    changed = [name for name in methods if getattr(head, name, None) is not getattr(base, name, None)]
    return f'it overrides {", ".join(changed)} of {base.__name__}' if changed else None


def known_heads() -> dict[type[nn.Module], type[HeadView]]:
    """Every registered head class and the class of its views."""
    return dict(_VIEWS)


class _Unknown(HeadView):
    """Of a head that is not known: nothing is answered."""

    def __init__(self, sort: type[HeadView], head: nn.Module | None, reason: str) -> None:
        super().__init__(head)
        self.questions = sort.questions  # type: ignore[misc]
        self._reason = reason

    def why_not(self, question: str) -> str:
        """See :class:`HeadView`."""
        del question
        return self._reason


def _any_of(things: list[str]) -> str:
    """'a', 'a or b', 'a, b or c'."""
    return ' or '.join([', '.join(things[:-1]), things[-1]] if len(things) > 1 else things)
