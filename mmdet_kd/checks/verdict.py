"""What a check says."""

from typing import NamedTuple


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
