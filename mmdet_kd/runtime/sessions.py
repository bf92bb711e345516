"""The sessions in which a detector was trained, as mmengine has left them in its work dir, a folder each."""

import json
import re
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

_RESUMES = re.compile(r'^resume = True$', re.MULTILINE)


class Session(NamedTuple):
    """What one session has left.

    Args:
        folder: named by the time at which it began.
        records: what it logged of steps and validations, in its order.
    """

    folder: Path
    records: list[dict[str, Any]]

    @property
    def config(self) -> Path:
        """Its config. It says `resume=True` where the session went on, and then `load_from` says from where."""
        return self.folder / 'vis_data' / 'config.py'

    @property
    def begins_anew(self) -> bool:
        """Whether its config says so."""
        return self.config.is_file() and not _RESUMES.search(self.config.read_text())


def sessions_of(work_dir: str | Path) -> list[Session]:
    """The sessions of the training that was begun last in a work dir, in their order.

    A session that logged no step and no validation, such as a test, is none of them. Where one goes on from a
    checkpoint, what was logged before of the steps that it takes anew is left out.
    """
    sessions: list[Session] = []
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        session = Session(file.parent.parent, _records(file))
        if session.records:
            earlier = [] if session.begins_anew else _before(_first_step(session), sessions)
            sessions = [*earlier, session]
    return sessions


def _first_step(session: Session) -> int | None:
    return next((record['step'] for record in session.records if 'loss' in record), None)


def _before(step: int | None, sessions: list[Session]) -> list[Session]:
    """The sessions up to the record of a step; the validations after it are of weights that were dropped."""
    if step is None:
        return sessions
    return [
        session._replace(
            records=list(takewhile(lambda record: 'loss' not in record or record['step'] < step, session.records))
        )
        for session in sessions
    ]


def _records(file: Path) -> list[dict[str, Any]]:
    """What was logged, without the line that a killed session did not finish, which is logged anew."""
    text = file.read_text()
    return [json.loads(line) for line in text[: text.rfind('\n') + 1].splitlines()]
