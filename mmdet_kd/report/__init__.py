"""The report of a comparison: one HTML page that people can pass on, and the same in Markdown.

:func:`findings_of` reads finished trainings into plain data, :func:`document_of` says what follows from them, and two
writers write that.
"""

from .alike import unlike_rows
from .command import report, write_report
from .content import document_of
from .document import Document, to_html, to_markdown
from .findings import Cost, Findings, Model
from .gather import data_of, findings_of
from .work_dirs import finished_trainings

__all__ = [
    'Cost',
    'Document',
    'Findings',
    'Model',
    'data_of',
    'document_of',
    'findings_of',
    'finished_trainings',
    'report',
    'to_html',
    'to_markdown',
    'unlike_rows',
    'write_report',
]
