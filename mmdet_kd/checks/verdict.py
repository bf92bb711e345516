"""What a check says."""

from collections.abc import Callable
from typing import NamedTuple

#: Seconds that a user waits without being told how long it will take.
_PATIENCE = 30.0

#: Says one line to the user while a check is at work.
Tell = Callable[[str], None]


class Verdict(NamedTuple):
    """One thing that was looked at.

    Args:
        subject: what it is about, a few words.
        found: what was seen, with its numbers.
        cure: what to do about it; empty where a training may start.
    """

    subject: str
    found: str
    cure: str = ''

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.cure


def foretell(tell: Tell, what: str, seconds: float) -> None:
    """Say how long something will take, if that is long.

    Args:
        tell: says one line.
        what: will take so long, a plural.
        seconds: that it will take, about.
    """
    if seconds > _PATIENCE:
        minutes, rest = divmod(round(seconds / 10) * 10, 60)
        tell(f'{what} will take about ' + (f'{minutes} min {rest} s' if minutes else f'{rest} s'))
