"""Errors that name every problem at once, each with its cure, in text that a terminal can show."""

from collections.abc import Sequence

#: Characters of one problem that are shown. The longest that this package writes by itself has some 2,000.
MOST_CHARACTERS = 4000
_MOST_PROBLEMS = 100
_KEPT = '\n\t'


class DistillationError(ValueError):
    """A teacher, a student and their distillers that cannot work together.

    Problems name what files hold, and files come from anywhere: the text is made printable, and its length is bounded.

    Args:
        problems: one sentence each, with the cure.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = [printable(problem) for problem in problems]
        super().__init__(self._message())

    def _message(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        listed = '\n'.join(f'  {number}. {problem}' for number, problem in enumerate(self.problems[:_MOST_PROBLEMS], 1))
        more = len(self.problems) - _MOST_PROBLEMS
        return f'{len(self.problems)} problems:\n{listed}' + (f'\n  and {more} more' if more > 0 else '')


class NotFiniteError(FloatingPointError):
    """A training whose losses or weights are no longer finite; the message names them and the cure."""


def raise_if_any(problems: Sequence[str]) -> None:
    """Raise one :class:`DistillationError` that lists all ``problems``, if there are any."""
    if problems:
        raise DistillationError(problems)


def printable(text: str, most: int = MOST_CHARACTERS) -> str:
    """Text that a terminal shows and does not obey.

    Control characters, escape sequences, marks that turn the direction of writing, and bytes that are no text are
    written as escapes, as Python's ``repr`` writes them. Of a long text the middle is left out: what it is about stands
    at the beginning, and the cure at the end.

    Args:
        text: any.
        most: characters that are kept.
    """
    if len(text) > most:
        text = f'{text[: most // 2]} [{len(text) - most} characters left out] {text[-(most - most // 2) :]}'
    if text.isprintable():
        return text
    return ''.join(
        each if each.isprintable() or each in _KEPT else each.encode('unicode_escape').decode('ascii') for each in text
    )
