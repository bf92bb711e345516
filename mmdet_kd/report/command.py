"""The report as the last stage of a command: `report.html` and `report.md` in its folder."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ..comparison import Training
from ..errors import printable
from ..files import written_whole
from .content import document_of, warning_of
from .document import to_html, to_markdown, with_relative_paths
from .findings import Findings
from .gather import findings_of
from .verdict import verdict

HTML, MARKDOWN = 'report.html', 'report.md'
#: What detectors have found in the validation pictures, and how fast; for the next report of the same ones.
KEPT = 'looked.json'
_CHECKOUT = Path(__file__).resolve().parents[2]


def report(
    trainings: Sequence[Training],
    folder: str | Path,
    console: Console,
    beside: Sequence[Training] = (),
    commands: Sequence[str] = (),
    pictures: bool = True,
) -> Findings:
    """Write the report of finished trainings, and say where it is.

    Args:
        trainings: the arm of the first one is what the others are compared with.
        folder: made if missing.
        console: to print to.
        beside: trainings that are shown and not compared, such as the teacher's.
        commands: that follow, one a line; the present one stands before them.
        pictures: whether pictures of the data may be in it.

    Returns:
        What the report says, as data.

    Raises:
        DistillationError: the arms cannot be compared.
    """
    findings = findings_of(trainings, beside, [command_line_of(sys.argv), *commands], keep=Path(folder) / KEPT)
    if not pictures:
        findings = replace(findings, pictures={})
    write_report(findings, folder)
    for sentence in [warning_of(findings), *verdict(findings.rows)]:
        if sentence:
            console.print(printable(sentence), markup=False)
    console.print(f'Report: {Path(folder) / HTML} and {MARKDOWN}', markup=False)
    return findings


def write_report(findings: Findings, folder: str | Path) -> None:
    """Write `report.html` and `report.md`, each whole or not at all.

    Paths below the working directory, or below the checkout, are relative to it.
    """
    document = with_relative_paths(document_of(findings), (Path.cwd(), _CHECKOUT))
    for name, text in ((HTML, to_html(document)), (MARKDOWN, to_markdown(document, HTML))):
        with written_whole(Path(folder) / name) as draft:
            draft.write_text(text, encoding='utf-8')


def command_line_of(arguments: Sequence[str]) -> str:
    """A command as it can be called again."""
    return shlex.join(['python', *map(str, arguments)])
