"""Errors that name every problem at once, each with its cure."""

from collections.abc import Sequence


class DistillationError(ValueError):
    """A teacher, a student and their distillers that cannot work together.

    Args:
        problems: one sentence each, with the cure.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(self._message())

    def _message(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        listed = '\n'.join(f'  {number}. {problem}' for number, problem in enumerate(self.problems, 1))
        return f'{len(self.problems)} problems:\n{listed}'


class NotFiniteError(FloatingPointError):
    """A training whose losses or weights are no longer finite; the message names them and the cure."""


def raise_if_any(problems: Sequence[str]) -> None:
    """Raise one :class:`DistillationError` that lists all ``problems``, if there are any."""
    if problems:
        raise DistillationError(problems)
